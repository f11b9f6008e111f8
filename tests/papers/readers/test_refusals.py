"""Errors of every format name line and reason, and never give a traceback."""

import pytest
from helpers.reading import parquet, refusal, source, workbook
from helpers.samples import ABSTRACT, page

from tagger.papers.readers import FORMATS

RSS = """<rss version="2.0"><channel>
<item><title>Tides</title>
<description>Text.</description>
</item>
<item><title>Ebbs"""
HEAD = "From: a@b.invalid\nDate: x\n\n"


ENTITY = '<!DOCTYPE PubmedArticleSet [<!ENTITY a "b">]><PubmedArticleSet/>'


@pytest.mark.parametrize(
    ("name", "content", "line", "reason"),
    [
        ("bibtex", "@article{a, title={ } }", 1, "title of"),
        (
            "bibtex",
            "\n@article{a,\n title={One\n}\n\n@misc{b, title={Two}}\n",
            2,
            "BibTeX",
        ),
        ("bibtex", "@article{a, title={One}}\n@misc{b, title={Two}", 2, "end of file"),
        ("bibtex", "@article{a, title {One}}", 1, "Expected a `=`"),
        ("wos", "FN x\nVR 1.0\nPT J\nTI One\nER\n\nPT J\nAU Two\nER\n\nEF", 7, "title of"),
        ("refer", "%0 A\n%T One\n\n%0 A\n%X Two", 4, "title of"),
        ("pubmed-text", "1. One.\nA B.\nPMID: 1\n\n2. Two.\nC D.\n", 5, "no PubMed number"),
        ("pubmed-xml", "<PubmedArticleSet>\n<PubmedArticle>", 2, "XML"),
        ("pubmed-xml", ENTITY, None, "XML entities"),
        ("pubmed-xml", '<?xml version="1.0" encoding="klingon"?><a/>', None, "encoding"),
        ("excel", workbook(("Name",), ("A",)), 1, "the columns are: 'Name'."),
        (
            "excel",
            workbook(("Title", "Abstract"), ("A", "b"), (None, "c")),
            3,
            "title of",
        ),
        ("excel", workbook(), None, "empty"),
        ("excel", b"PK\x03\x04broken", None, "Excel workbook"),
        ("excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", None, "Save it as .xlsx"),
        ("parquet", parquet({"name": ["A"]}), None, "the columns are: 'name'"),
        (
            "parquet",
            parquet({"title": ["A", "B", None]}, row_group_size=1),
            3,
            "title of",
        ),
        ("parquet", parquet({"title": [b"A"]}), 1, "type bytes"),
        ("parquet", b"PAR1broken", None, "Parquet file"),
        ("csv", '"Title","A"\n"Abstract","One."\n\n"Title","B"\n', None, "each field"),
        ("csv", "Name,Abstract\nA,one\n", 1, "the columns are: 'Name', 'Abstract'"),
        ("csv", 'Title,Abstract\n"A\nb",one\nB,"two\nthree\n', 4, "quoted cell"),
        ("csv", "Title,Abstract\nA,one\nB,2,3\n", 3, "the row has 3 cells, the header has 2"),
        ("csv", "Title,Abstract\nA,one\nB\n", 3, "the row has 1 cell, the header has 2"),
        ("csv", "\n \n", None, "blank lines"),
        ("csv", b"Title,Abstract\nA,one\nB,caf\xe9\n", 3, "is not UTF-8 text"),
        ("csv", b"\xff\xfeN\0i\0", 1, "column with the titles"),
        ("csv", b"\xff\xfeT\0i\0t", 1, "is not UTF-16 text"),
        ("json", '{"title": "A"}\n\n{"title": "B"\n', 4, "JSON"),
        ("json", '{"title": "A"}\n[1]\n', 2, "found a list"),
        ("json", '{"title": "A"}\n{"title": {"en": "B"}}\n', 2, "type dict"),
        ("json", '[{"title": "A"},\n {"title": "B"}', 2, "not closed"),
        ("json", '[{"title": "A"}\n {"title": "B"}]', 2, "a comma is missing"),
        ("json", '[{"title": "A"}]\nmore', 2, "after the end"),
        ("json", '{"name": "A"}', None, "the columns are: 'name'"),
        ("json", "[" * 100_000, 1, "JSON"),
        ("json", '{"title": ' + "9" * 5_000 + "}", 1, "JSON"),
        ("feed", RSS, 6, "end of the feed"),
        (
            "feed",
            "<rss><channel><item><link>x</link></item></channel></rss>",
            1,
            "title of",
        ),
        ("html", "<html><p>Nov 16</p></html>", None, "no papers"),
        ("html", "<html></html>", 1, "no papers"),
        ("mail", HEAD + "\n", None, "contains no text"),
        ("mail", "From: a\nContent-Type: text/plain; charset=none\n\nx", None, "as an e-mail"),
        ("digest", "new\n\nSubscribe\n\nMar 12\n", 5, "only a header"),
        ("digest", "  \n\n ", 1, "blank"),
        ("digest", page("One") + "\n\n" + ABSTRACT * 5, 11, "expected a title, found a paragraph"),
    ],
)
def test_errors_name_line_and_reason(name, content, line, reason):
    error = refusal(FORMATS[name].read, source(content))
    assert error.line == line
    assert reason in str(error)
