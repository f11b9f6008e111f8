import pytest

from tagger.readers import read_papers
from tagger.readers.placeholders import is_no_abstract, is_no_title


@pytest.mark.parametrize(
    "text",
    [
        "[No abstract available]",
        "No abstract available.",
        "No abstract",
        "Abstract not available",
        "[Not Available].",
        "n/a",
        "NaN",
        "-",
        "",
    ],
)
def test_a_stand_in_is_no_abstract(text):
    assert is_no_abstract(text)


@pytest.mark.parametrize("text", ["No abstract art was shown.", "None of us knows.", "Wards."])
def test_a_sentence_is_an_abstract(text):
    assert not is_no_abstract(text)


def test_a_title_may_be_nearly_anything():
    assert is_no_title("[Not Available].")
    assert not is_no_title("Not available")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.bib", "@misc{a, title={One}, abstract={[No abstract available]}}"),
        ("a.ris", "TY  - JOUR\nTI  - One\nAB  - [No abstract available]\nER  - \n"),
        ("a.nbib", "PMID- 1\nTI  - One\nAB  - [No abstract available]\n"),
        ("a.csv", "Title,Abstract\nOne,[No abstract available]\n"),
        ("a.jsonl", '{"title": "One", "abstract": "[No abstract available]"}'),
    ],
)
def test_no_format_takes_a_stand_in_for_an_abstract(name, content, tmp_path):
    (tmp_path / name).write_text(content, encoding="utf-8")
    (paper,) = read_papers([tmp_path / name])
    assert (paper.title, paper.abstract) == ("One", "")


def test_a_title_in_another_language_is_taken_where_there_is_no_other(tmp_path):
    (tmp_path / "a.nbib").write_text("PMID- 1\nTI  - [Not Available].\nTT  - Eins.\n", "utf-8")
    (paper,) = read_papers([tmp_path / "a.nbib"])
    assert paper.title == "Eins."


@pytest.mark.parametrize(
    ("title", "clean"),
    [
        ("The <i>E. coli</i> of <sub>2</sub>", "The E. coli of 2"),
        ("Where a < b and <mask> > c", "Where a < b and <mask> > c"),
    ],
)
def test_a_title_is_the_same_in_every_format(title, clean, tmp_path):
    (tmp_path / "a.bib").write_text(f"@misc{{a, title={{{title}}}}}", encoding="utf-8")
    (tmp_path / "a.csv").write_text(f"Title,Abstract\n{title},\n", encoding="utf-8")
    (tmp_path / "a.ris").write_text(f"TY  - JOUR\nTI  - {title}\nER  - \n", encoding="utf-8")
    papers = read_papers([tmp_path / name for name in ("a.bib", "a.csv", "a.ris")])
    assert {paper.title for paper in papers} == {clean}
