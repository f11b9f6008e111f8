from helpers.reading import source
from helpers.samples import page
from hypothesis import given
from hypothesis import strategies as st

from tagger.papers import merge_duplicates, read_papers
from tagger.papers.readers import digest

words = st.lists(st.sampled_from(["deep", "graph", "survey", "Of", "x"]), min_size=1, max_size=8)
titles = st.lists(words.map(" ".join), min_size=1, max_size=8)


def test_the_three_real_pages(shared):
    entries = list(read_papers(sorted((shared / "digests").glob("*.txt"))))
    papers = merge_duplicates(entries)
    assert (len(entries), len(papers)) == (237, 210)
    assert sum(len(paper.sources) for paper in papers) == 237
    names = {source for paper in papers for source in paper.sources}
    assert names == {"000.txt", "001.txt", "003.txt"}
    for paper in papers:
        assert not set("\\{}\n\t") & set(paper.title + paper.abstract)
        assert len(paper.abstract.split()) > 100


DATES = st.sampled_from(["Mar 12", "March 12, 2025", "12 March", "2025-03-12"])


@given(titles, DATES, st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_every_entry_is_read_and_dates_are_skipped(names, date, has_header, newline):
    header = f"new\n\nSubscribe\n\n{date}\n\n" if has_header else ""
    text = page(*names, header=header) + (header and f"\n\n{date}\n\n")
    papers = digest.read(source(text.replace("\n", newline)))
    assert [paper.title for paper in papers] == names
    assert all(paper.sources == ("given.txt",) for paper in papers)


def test_errors_name_bad_files_and_good_files_are_read(tmp_path):
    good, late = tmp_path / "good.txt", tmp_path / "late.txt"
    good.write_text(page("One"), encoding="utf-8")
    late.write_text("\ufeff" + page("Two"), encoding="utf-8")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\0\0")
    (tmp_path / "latin.txt").write_bytes(b"new\n\ncaf\xe9\n")
    (tmp_path / "wide.txt").write_bytes(page("Three").encode("utf-16"))
    bad = {
        "empty.txt": "is empty",
        "picture.png": "picture",
        "latin.txt": "latin.txt:3: is not UTF-8",
        "missing.txt": "no such file",
        ".": "folder",
    }
    problems = []
    paths = [good, *(tmp_path / name for name in bad), late, good, tmp_path / "wide.txt"]
    papers = list(read_papers(paths, on_error=problems.append))
    assert [paper.title for paper in papers] == ["One", "Two", "Three"]
    for problem, expected in zip(problems, bad.values(), strict=True):
        assert expected in str(problem)
        assert str(tmp_path) in str(problem)
        assert "\n" not in str(problem)
