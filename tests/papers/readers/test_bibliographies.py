"""Bibliographies: values are resolved, and errors name line and field."""

import pytest
from helpers.reading import refusal, source, texts

from tagger.papers.readers import bibtex, ris


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


def test_ris_with_the_line_ends_of_old_macs_is_read():
    text = "TY  - JOUR\rTI  - A\rAB  - one\rER  - \rTY  - JOUR\rTI  - B\rER  - \r"
    assert ris.recognise(source(text))
    assert texts(ris.read(source(text))) == [("A", "one"), ("B", "")]
    error = refusal(ris.read, source(text.replace("TI  - B\r", "")))
    assert error.line == 5
