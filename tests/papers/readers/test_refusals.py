"""What cannot be read is named with its place, in every format, and never gives a traceback."""

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


PUBMED = (
    "<PubmedArticleSet><PubmedArticle><MedlineCitation><Article><ArticleTitle> </ArticleTitle>"
    "</Article></MedlineCitation></PubmedArticle></PubmedArticleSet>"
)
ENTITY = '<!DOCTYPE PubmedArticleSet [<!ENTITY a "b">]><PubmedArticleSet/>'


@pytest.mark.parametrize(
    ("name", "content", "line", "reason"),
    [
        ("bibtex", "@article{a,\n title={One}\n}\n\n@misc{b,\n year=1999}", 5, "no title"),
        ("bibtex", "@article{a, title={ } }", 1, "no title"),
        ("bibtex", "\n@article{a,\n title={One\n}\n\n@misc{b, title={Two}}\n", 2, "not BibTeX"),
        ("bibtex", "@article{a, title={One}}\n@misc{b, title={Two}", 2, "end of file"),
        ("bibtex", "@article{a, title {One}}", 1, "Expected a `=`"),
        ("ris", "TY  - JOUR\nTI  - One\n\nTY  - JOUR\nTI  - Two\nER  - ", 1, "no end"),
        ("ris", "TY  - JOUR\nTI  - One\nER  - \nTY  - JOUR\nTI  - Two\n", 4, "no end"),
        ("nbib", "PMID- 1\nTI  - One\nand more", 3, "neither a field"),
        ("nbib", "TI  - One\n", 1, "neither a field"),
        ("pubmed-xml", "<PubmedArticleSet>\n<PubmedArticle>", 2, "is not XML"),
        ("pubmed-xml", PUBMED, 1, "no title"),
        ("pubmed-xml", ENTITY, None, "declares entities"),
        ("pubmed-xml", '<?xml version="1.0" encoding="klingon"?><a/>', None, "encoding"),
        ("excel", workbook(("Name",), ("A",)), 1, "the columns are: 'Name'. Say which"),
        ("excel", workbook(("Title", "Abstract"), ("A", "b"), (None, "c")), 3, "no title"),
        ("excel", workbook(), None, "without content"),
        ("excel", b"PK\x03\x04broken", None, "is no Excel workbook"),
        ("excel", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", None, "Save it as .xlsx"),
        ("parquet", parquet({"name": ["A"]}), None, "the columns are: 'name'"),
        ("parquet", parquet({"title": ["A", "B", None]}, row_group_size=1), 3, "no title"),
        ("parquet", parquet({"title": [b"A"]}), 1, "holds a bytes, not text"),
        ("parquet", b"PAR1broken", None, "is no Parquet file"),
        ("csv", "Name,Abstract\nA,one\n", 1, "the columns are: 'Name', 'Abstract'"),
        ("csv", 'Title,Abstract\n"A\nb",one\nB,"two\nthree\n', 4, "does not end as it should"),
        ("csv", "Title,Abstract\nA,one\nB,2,3\n", 3, "the row has 3 cells, the header has 2"),
        ("csv", "Title,Abstract\nA,one\nB\n", 3, "the row has 1 cell, the header has 2"),
        ("csv", "\n \n", None, "nothing but blank lines"),
        ("csv", b"Title,Abstract\nA,one\nB,caf\xe9\n", 3, "is not UTF-8 text"),
        ("csv", b"\xff\xfeN\0i\0", 1, "no column holds the title"),
        ("csv", b"\xff\xfeT\0i\0t", 1, "is not UTF-16 text"),
        ("json", '{"title": "A"}\n\n{"title": "B"\n', 4, "is no JSON"),
        ("json", '{"title": "A"}\n[1]\n', 2, "found a list"),
        ("json", '{"title": "A"}\n{"title": {"en": "B"}}\n', 2, "holds a dict, not text"),
        ("json", '[{"title": "A"},\n {"title": "B"}', 2, "not closed"),
        ("json", '[{"title": "A"}\n {"title": "B"}]', 2, "a comma is missing"),
        ("json", '[{"title": "A"}]\nmore', 2, "something follows"),
        ("json", '{"name": "A"}', None, "the columns are: 'name'"),
        ("json", "[" * 100_000, 1, "is no JSON"),
        ("json", '{"title": ' + "9" * 5_000 + "}", 1, "is no JSON"),
        ("feed", RSS, 6, "does not end as it should"),
        ("feed", "<rss><channel><item><link>x</link></item></channel></rss>", 1, "no title"),
        ("html", f"<html><h2>One</h2><p>{ABSTRACT}</p><h2>Two</h2></html>", None, "'Two' has no"),
        ("html", "<html><p>Nov 16</p></html>", None, "no papers on this page"),
        ("html", "<html></html>", 1, "no papers on this page"),
        ("mail", HEAD + "\n", None, "no text in this e-mail"),
        ("mail", HEAD + page("One") + "\n\nTwo", None, "'Two' has no abstract"),
        ("mail", "From: a\nContent-Type: text/plain; charset=none\n\nx", None, "no e-mail that"),
        ("digest", "new\n\nSubscribe\n\nMar 12\n", 5, "only a newsletter header"),
        ("digest", "  \n\n ", 1, "nothing but white space"),
        ("digest", page("One") + "\n\nA last title", 11, "'A last title' has no abstract"),
        ("digest", page("One") + f"\n\nFirst\n\nSecond\n\n{ABSTRACT}", 11, "'First' has no"),
        ("digest", page("One") + "\n\n" + ABSTRACT * 5, 11, "expected a title, found a paragraph"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(name, content, line, reason):
    error = refusal(FORMATS[name].read, source(content))
    assert error.line == line
    assert reason in str(error)
