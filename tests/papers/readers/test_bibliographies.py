"""Bibliographies: values are resolved, and errors name line and field."""

import pytest
from helpers.reading import refusal, source
from hypothesis import given
from hypothesis import strategies as st

from tagger.papers.readers import FORMATS, bibtex


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
def test_bibtex_strings_are_resolved_and_joined(value, said):
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
    assert "line 3: field 'title': this value is not closed" in str(
        refusal(bibtex.read, source(text))
    )


@pytest.mark.parametrize(
    ("fields", "identifiers"),
    [
        ("eprint = {2101.00001}, archivePrefix = {arXiv}", ("arxiv:2101.00001",)),
        ("eprint = {arXiv:2101.00001v2}", ("arxiv:2101.00001",)),
        ("eprint = {2101.00001}", ("arxiv:2101.00001",)),
        ("eprint = {hep-th/9901001v2}", ("arxiv:hep-th/9901001",)),
        ("eprint = {12345}", ()),
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
    ("formats", "text"),
    [
        (["bibtex"], "% Encoding: UTF-8\n\n@Article{key,\n title={x}}"),
        (["bibtex"], "@string{a = {b}}\n"),
        (["bibtex"], "@inproceedings(key,"),
        (["bibtex"], "@article{ WOS:000123,\nTitle = {x} }"),
        (["bibtex"], "Scopus\nEXPORT DATE: 3 May 2026\n\n@ARTICLE{Doe2020,\n title={x}}"),
        (["ris"], "Provider: Somebody\n\nTY  - JOUR\n"),
        (["nbib"], "PMID- 123\nOWN - NLM\n"),
        (["pubmed-xml"], '<?xml version="1.0"?>\n<PubmedArticleSet>'),
        ([], "Write to me@example.org (today, please)."),
        ([], "@someone, hello"),
        ([], "<html>"),
        ([], "TY for it"),
    ],
)
def test_formats_are_recognised_by_content(formats, text):
    every = ("bibtex", "ris", "nbib", "pubmed-xml")
    assert [name for name in every if FORMATS[name].recognise(source(text))] == formats


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("bibtex", ["@misc{", "@string{", "@comment{", "k,", "title", *'={}"#a,\n\\']),
        ("ris", ["TY  - ", "TI  - ", "UR  - ", "ZZ  - ", "ER  - ", "a;", "\n", "\r\n", " "]),
        ("nbib", ["PMID- 1", "TI  - ", "AB  - ", "      ", "a", "\n", "-"]),
        ("pubmed-xml", ["<PubmedArticleSet>", "<PubmedArticle>", "</PubmedArticle>", "&a;"]),
        ("endnote-xml", ["<xml>", "</xml>", "<record>", "</record>", "<titles><title>a", "&a;"]),
        ("wos", ["FN a\n", "PT J\n", "TI a\n", "AB b\n", "   c\n", "ER\n", "EF\n", "\n", "A"]),
        ("refer", ["%0 A\n", "%T a\n", "%X b\n", "%U x\n", "c\n", "\n", "%", " "]),
        ("pubmed-text", ["1. ", "2: ", "a. ", "PMID: 7\n", "\n\n", "2026;", "b\n", "\u00a9\n"]),
        ("nep", ["1. ", "2. ", "By: ", "Abstract: ", "URL: ", "a\n", "\n\n", "    b\n", "-----\n"]),
        (
            "arxiv-listing",
            ["\\\\\n", "\\\\ (x)\n", "arXiv:2101.00001\n", "Title: a\n", "replaced b\n"],
        ),
        ("json", [*'[]{},:"', '{"title": "a"}', '"results": ', "null", "\n", "1"]),
        ("csv", ["title,abstract\n", *'",;\t', '""', "a", "\n", "\r\n", "b c"]),
        (
            "html",
            ["<h2>", "</h2>", "<a href='https://arxiv.org/abs/2101.00001'>", "</a>", "a b c. "],
        ),
        (
            "mail",
            ["From a 2026\nFrom: a\nDate: b\n\n", "Content-Type: text/html\n", "a. b. ", "\n"],
        ),
        ("digest", list("ab. \n\r\tM1")),
    ],
)
@given(data=st.data())
def test_anything_is_read_or_refused(name, pieces, data):
    text = "".join(data.draw(st.lists(st.sampled_from(pieces), max_size=40)))
    error = refusal(FORMATS[name].read, source(text))
    assert error is None or error.problem
