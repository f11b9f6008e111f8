"""What is wrong in a bibliography is named with its place, and nothing gives a traceback."""

from pathlib import Path

import pytest
from helpers.refusals import refusal
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.readers import bibtex, nbib, pubmed_xml, read_papers, ris
from tagger.readers.source import Source


def source(text, name="given.txt"):
    return Source(name, Path(name), given=text.encode())


def article(title):
    body = f"<Article><ArticleTitle>{title}</ArticleTitle></Article>"
    return f"<PubmedArticle><MedlineCitation>{body}</MedlineCitation></PubmedArticle>"


@pytest.mark.parametrize(
    ("read", "text", "line", "problem"),
    [
        (bibtex.read, "@article{a,\n title={One}\n}\n\n@misc{b,\n year=1999}", 5, "no title"),
        (bibtex.read, "@article{a, title={ } }", 1, "no title"),
        (bibtex.read, "\n@article{a,\n title={One\n}\n\n@misc{b, title={Two}}\n", 2, "not BibTeX"),
        (bibtex.read, "@article{a, title={One}}\n@misc{b, title={Two}", 2, "end of file"),
        (bibtex.read, "@article{a, title {One}}", 1, "Expected a `=`"),
        (ris.read, "TY  - JOUR\nTI  - One\nER  - \nTY  - JOUR\nAB  - x\nER  - ", 4, "no title"),
        (ris.read, "TY  - JOUR\nTI  - One\n\nTY  - JOUR\nTI  - Two\nER  - ", 1, "no end"),
        (ris.read, "TY  - JOUR\nTI  - One\nER  - \nTY  - JOUR\nTI  - Two\n", 4, "no end"),
        (nbib.read, "PMID- 1\nTI  - One\n\nPMID- 2\nAB  - x", 4, "no title"),
        (nbib.read, "PMID- 1\nTI  - One\nand more", 3, "neither a field"),
        (nbib.read, "TI  - One\n", 1, "neither a field"),
        (pubmed_xml.read, "<PubmedArticleSet>\n<PubmedArticle>", 2, "is not XML"),
        (
            pubmed_xml.read,
            f"<PubmedArticleSet>{article('One')}{article(' ')}</PubmedArticleSet>",
            2,
            "no title",
        ),
        (
            pubmed_xml.read,
            '<!DOCTYPE PubmedArticleSet [<!ENTITY a "b">]><PubmedArticleSet/>',
            None,
            "declares entities",
        ),
        (pubmed_xml.read, '<?xml version="1.0" encoding="klingon"?><a/>', None, "encoding"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(read, text, line, problem):
    error = refusal(read(source(text)))
    assert error.line == line
    assert problem in str(error)


def test_a_bad_file_is_named_with_its_path(tmp_path):
    (tmp_path / "bad.bib").write_text("@article{a,\n title={One\n}\n@misc{b, title={Two}}\n")
    with pytest.raises(TaggerError) as caught:
        list(read_papers([tmp_path / "bad.bib"]))
    assert str(caught.value).startswith(f"{tmp_path / 'bad.bib'}:1: this entry is not BibTeX")


def test_an_entity_that_reads_a_file_is_refused(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    text = (
        f'<!DOCTYPE PubmedArticleSet [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
        f"<PubmedArticleSet>{article('&x;')}</PubmedArticleSet>"
    )
    assert "declares entities" in str(refusal(pubmed_xml.read(source(text))))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{A {Big} Title}", "A {Big} Title"),
        ('"In "# {part} #\n"s"', "In parts"),
        ("jir", "Journal of Results"),
        ('JIR # {, } # jan # "; a {"} #"', 'Journal of Results, jan; a {"} #'),
        ("1999", "1999"),
        ("", ""),
        (r"{50\% of \{x\}}", r"50\% of \{x\}"),
    ],
)
def test_strings_are_put_in_and_joined(value, said):
    entries, strings = bibtex.parse_bibtex(
        f'@string{{pre = "Journal"}}\n@string(jir = pre # " of Results")\n'
        f"@misc{{k,\n title = {value},\n Note={{later, title = not}}\n}}"
    )
    assert [entry.line for entry in entries] == [3]
    assert entries[0].fields == (("title", value), ("Note", "{later, title = not}"))
    assert bibtex._resolve(value, strings) == said


@pytest.mark.parametrize(
    "value",
    [
        "{Deep nets}\n  doi = {10.1000/a}",
        '"Deep nets"\n  doi = "10.1000/a"',
        "{Deep nets}\n  year = 2020",
        "2020\n  doi = {10.1000/a}",
        "jan # {Deep nets}\n  doi = {10.1000/a}",
        '"a {"} b" c "d"',
    ],
)
def test_a_missing_comma_is_named_with_its_line(value):
    text = f"@misc{{k,\n  note = {{a}},\n  title = {value},\n  url = {{x}}\n}}"
    assert "line 3: field 'title': this value does not end" in str(
        refusal(bibtex.read(source(text)))
    )


@pytest.mark.parametrize(
    ("fields", "identifiers"),
    [
        ("eprint = {2101.00001}, archivePrefix = {arXiv}", ("arxiv:2101.00001",)),
        ("eprint = {arXiv:2101.00001v2}", ("arxiv:2101.00001",)),
        ("eprint = {2101.00001}", ()),
        ("eprint = {123}, eprinttype = {pubmed}", ("pmid:123",)),
        ("journal = {arXiv preprint arXiv:2101.00001}", ("arxiv:2101.00001",)),
        ("url = {https://arxiv.org/abs/2101.00001}, pmid = 7", ("arxiv:2101.00001", "pmid:7")),
        ("url = {https://doi.org/10.5555/Ab}", ("doi:10.5555/ab",)),
        ("note = {PMID: 12}", ("pmid:12",)),
        ("DOI = {not one}", ()),
    ],
)
def test_identifiers_are_found_where_bibtex_has_them(fields, identifiers):
    [paper] = bibtex.read(source(f"@misc{{k, title = {{One}}, {fields}}}"))
    assert paper.identifiers == identifiers


@pytest.mark.parametrize(
    ("recognises", "text"),
    [
        (bibtex.recognise, "% Encoding: UTF-8\n\n@Article{key,\n title={x}}"),
        (bibtex.recognise, "@string{a = {b}}\n"),
        (bibtex.recognise, "@inproceedings(key,"),
        (bibtex.recognise, "@article{ WOS:000123,\nTitle = {x} }"),
        (bibtex.recognise, "Scopus\nEXPORT DATE: 3 May 2026\n\n@ARTICLE{Doe2020,\n title={x}}"),
        (ris.recognise, "Provider: Somebody\n\nTY  - JOUR\n"),
        (nbib.recognise, "PMID- 123\nOWN - NLM\n"),
        (pubmed_xml.recognise, '<?xml version="1.0"?>\n<PubmedArticleSet>'),
    ],
)
def test_a_format_is_told_by_its_content_alone(recognises, text):
    every = (bibtex.recognise, ris.recognise, nbib.recognise, pubmed_xml.recognise)
    assert [each for each in every if each(source(text))] == [recognises]


@pytest.mark.parametrize(
    "text", ["Write to me@example.org (today, please).", "@someone, hello", "<html>", "TY for it"]
)
def test_other_text_is_no_bibliography(text):
    every = (bibtex.recognise, ris.recognise, nbib.recognise, pubmed_xml.recognise)
    assert not any(recognises(source(text)) for recognises in every)


@pytest.mark.parametrize(
    ("read", "pieces"),
    [
        (
            bibtex.read,
            ["@misc{", "@string{", "@comment{", "k,", "title", *'={}"#a,\n\\'],
        ),
        (ris.read, ["TY  - ", "TI  - ", "UR  - ", "ZZ  - ", "ER  - ", "a;", "\n", "\r\n", " "]),
        (nbib.read, ["PMID- 1", "TI  - ", "AB  - ", "      ", "a", "\n", "-"]),
        (
            pubmed_xml.read,
            ["<PubmedArticleSet>", "<PubmedArticle>", "</PubmedArticle>", "&a;", "<"],
        ),
    ],
)
@given(data=st.data())
def test_anything_is_read_or_refused(read, pieces, data):
    text = "".join(data.draw(st.lists(st.sampled_from(pieces), max_size=20)))
    error = refusal(read(source(text)))
    assert error is None or error.problem
