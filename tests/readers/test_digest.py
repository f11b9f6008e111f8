from helpers.reading import source
from helpers.samples import page
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.paper import merge_duplicates
from tagger.readers import digest, read_papers

words = st.lists(st.sampled_from(["deep", "graph", "survey", "Of", "x"]), min_size=1, max_size=8)
titles = st.lists(words.map(" ".join), min_size=1, max_size=8)


def test_the_three_real_pages(shared):
    entries = list(read_papers(sorted((shared / "digests").glob("*.txt"))))
    papers = merge_duplicates(entries)
    assert (len(entries), len(papers)) == (237, 210)
    assert sum(len(paper.sources) for paper in papers) == 237
    assert {source for paper in papers for source in paper.sources} == {
        "000.txt",
        "001.txt",
        "003.txt",
    }
    for paper in papers:
        assert not set("\\{}\n\t") & set(paper.title + paper.abstract)
        assert len(paper.abstract.split()) > 100


@given(titles)
def test_every_entry_is_read_back(names):
    papers = digest.read(source(page(*names)))
    assert [paper.title for paper in papers] == names
    assert all(paper.sources == ("given.txt",) for paper in papers)


@given(titles, st.sampled_from(["Mar 12", "March 12, 2025", "12 March", "2025-03-12"]))
def test_dates_are_no_titles(names, date):
    text = page(*names, header=f"new\n\nSubscribe\n\n{date}\n\n") + f"\n\n{date}\n\n"
    assert [paper.title for paper in digest.read(source(text))] == names


@given(st.text(alphabet=st.sampled_from(list("ab. \n\r\tM1")), max_size=200))
def test_any_text_is_read_or_refused_with_its_line(text):
    try:
        papers = digest.read(source(text))
    except TaggerError as error:
        refused = error
    else:
        assert papers
        return
    assert refused.line is not None


def test_bad_files_are_named_and_good_ones_read(tmp_path):
    good, late = tmp_path / "good.txt", tmp_path / "late.txt"
    good.write_text(page("One"), encoding="utf-8")
    late.write_text("\ufeff" + page("Two"), encoding="utf-8")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\0\0")
    (tmp_path / "latin.txt").write_bytes(b"new\n\ncaf\xe9\n")
    (tmp_path / "wide.txt").write_bytes(page("Three").encode("utf-16"))
    bad = ["empty.txt", "picture.png", "latin.txt", "missing.txt", "."]
    problems = []
    paths = [good, *(tmp_path / name for name in bad), late, good, tmp_path / "wide.txt"]
    papers = list(read_papers(paths, on_error=problems.append))
    assert [paper.title for paper in papers] == ["One", "Two", "Three"]
    said = [str(problem) for problem in problems]
    assert len(said) == len(bad)
    for text, expected in zip(
        said,
        ["is empty", "binary", "latin.txt:3: is not UTF-8", "no such file", "directory"],
        strict=True,
    ):
        assert expected in text
        assert str(tmp_path) in text
        assert "\n" not in text


def test_a_page_may_have_no_header_and_windows_line_ends():
    text = page("One", "Two", header="").replace("\n", "\r\n")
    assert [paper.title for paper in digest.read(source(text))] == ["One", "Two"]
