"""Rules for records that hold in every format."""

from datetime import date

import pytest
from helpers.samples import page

from tagger.papers import collect_papers, read_papers
from tagger.papers.readers.records import make_paper
from tagger.papers.readers.source import Source

WRITE = {
    "a.bib": "@misc{{a, title={{{}}}, abstract={{{}}}}}\n",
    "a.ris": "TY  - JOUR\nTI  - {}\nAB  - {}\nER  - \n",
    "a.nbib": "PMID- 1\nTI  - {}\nAB  - {}\n",
    "a.csv": '"{}","{}"\n',
    "a.jsonl": '{{"title": "{}", "abstract": "{}"}}\n',
    "a.xml": "<PubmedArticle><MedlineCitation><Article><ArticleTitle>{}</ArticleTitle><Abstract>"
    "<AbstractText>{}</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle>\n",
}
BEFORE = {"a.csv": "title,abstract\n", "a.xml": "<PubmedArticleSet>\n"}
AFTER = {"a.xml": "</PubmedArticleSet>"}
ESCAPED = {"a.xml": {ord("<"): "&lt;", ord(">"): "&gt;"}}


@pytest.fixture(params=WRITE)
def write(request, tmp_path):
    """Write records of a title and an abstract in a format, and return the file."""

    def in_format(*records):
        name = request.param
        table = ESCAPED.get(name, {})
        texts = (WRITE[name].format(*(text.translate(table) for text in each)) for each in records)
        text = BEFORE.get(name, "") + "".join(texts) + AFTER.get(name, "")
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return in_format


@pytest.mark.parametrize(
    ("title", "clean"),
    [
        ("The <i>E. coli</i> of <sub>2</sub>", "The E. coli of 2"),
        ("Where a < b and <mask> > c", "Where a < b and <mask> > c"),
    ],
)
def test_a_title_is_the_same_in_every_format(write, title, clean):
    (paper,) = read_papers(write((title, "[No abstract available]")))
    assert (paper.title, paper.abstract) == (clean, "")


def test_record_without_title_does_not_affect_the_others(write):
    path = write(("One", "x"), (" ", "y"), ("Three", "z"))
    read = collect_papers(path, print)
    assert [paper.title for paper in read.entries] == ["One", "Three"]
    ((place, problem),) = read.files[0].problems.items()
    lines = {".bib": 2, ".ris": 5, ".nbib": 4, ".csv": 3, ".jsonl": 2, ".xml": 2}
    assert (place, problem.path, problem.line) == (1, str(path), lines[path.suffix])


@pytest.mark.parametrize(
    ("text", "is_abstract"),
    [
        *((f"[No abstract {word}]", False) for word in ("available", "found", "was provided")),
        *((text, False) for text in ("No abstract", "Abstract not available", "n/a", "NaN", "-")),
        *((text, True) for text in ("No abstract art was shown.", "None of us knows.", "Wards.")),
    ],
)
def test_placeholder_abstracts_become_empty(text, is_abstract):
    paper = make_paper(Source("x", None), 1, ["[Not Available].", "Not available"], [text])
    assert (paper.title, paper.abstract) == ("Not available", text if is_abstract else "")


PUBMED = (
    "<PubmedArticleSet><PubmedArticle><MedlineCitation><Article><ArticleTitle>A</ArticleTitle>"
    '</Article></MedlineCitation><PubmedData><History><PubMedPubDate PubStatus="entrez">'
    "<Year>2026</Year><Month>11</Month><Day>3</Day><Hour>6</Hour><Minute>0</Minute>"
    "</PubMedPubDate></History></PubmedData></PubmedArticle></PubmedArticleSet>"
)


@pytest.mark.parametrize(
    ("content", "day"),
    [
        ("TY  - JOUR\nTI  - A\nPY  - 2026\nDA  - 2026/11/03/\nER  - \n", "2026-11-03"),
        ("TY  - JOUR\nTI  - A\nPY  - 2026/11//\nER  - \n", None),
        ("@a{b, title={A}, date={2026-11-03}}", "2026-11-03"),
        ("@a{b, title={A}, year=2026, month=nov, day={3}}", "2026-11-03"),
        ("@a{b, title={A}, year=2026, month=nov}", None),
        ("@a{b, title={A}, year=2026, timestamp={2026-11-03}}", "2026-11-03"),
        ("PMID- 1\nTI  - A\nDP  - 2026 Nov\nCRDT- 2026/11/03 06:00\n", "2026-11-03"),
        ("PMID- 1\nTI  - A\nDP  - 2026 Nov 3\n", "2026-11-03"),
        (PUBMED, "2026-11-03"),
        ("title,date\nA,2026-11-03\n", "2026-11-03"),
        ("title,date\nA,2026-13-03\n", None),
        (f"TY  - JOUR\nTI  - A\nDA  - 3 Nov {'9' * 20} 10:00:00 +0000\nER  - \n", None),
        ('{"title": "A", "publication_date": "2026-11-03"}', "2026-11-03"),
        ('{"title": ["A"], "published": {"date-parts": [[2026, 11, 3]]}}', "2026-11-03"),
        ('{"title": ["A"], "published": {"date-parts": [[2026]]}}', None),
        ('[{"title": "A", "issued": {"date-parts": [["2026", 11, 3]]}}]', "2026-11-03"),
        ("PMID,Title,Publication Year,Create Date\n1,A,2026,2026/11/03\n", "2026-11-03"),
        ('{"title": "A", "published": "NA", "date": "2026-11-03"}', "2026-11-03"),
        ('{"title": "A", "firstPublicationDate": "2026-11-03"}', "2026-11-03"),
        ("From: a@b.c\nDate: Tue, 03 Nov 2026 23:00:00 -0500\n\n" + page("A tide"), "2026-11-03"),
        ("From: a@b.c\nDate: yesterday\n\n" + page("A tide"), None),
    ],
)
def test_the_day_of_a_record_is_read_if_it_is_whole(tmp_path, content, day):
    (tmp_path / "given").write_text(content, encoding="utf-8")
    [paper] = read_papers(tmp_path / "given")
    assert paper.day == (day and date.fromisoformat(day))
