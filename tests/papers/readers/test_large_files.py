"""Large files are streamed, and are read completely or not at all."""

import json
import tracemalloc

import pytest

from tagger.errors import TaggerError
from tagger.papers import collect_papers, read_papers
from tagger.papers.readers import source

ABSTRACT = "so" * 2000
ROWS = 150


WRITTEN = {
    "json": lambda title: json.dumps({"title": title, "abstract": ABSTRACT}) + "\n",
    "csv": lambda title: f'{title},"{ABSTRACT}"\n',
    "tsv": lambda title: f"{title}\t{ABSTRACT}\n",
    "nbib": lambda title: f"PMID- {title[1:]}\nTI  - {title}\nAB  - {ABSTRACT}\n\n",
}
HEADERS = {"csv": "title,abstract\n", "tsv": "title\tabstract\n"}


def write(path, titles):
    make = WRITTEN[path.suffix[1:]]
    path.write_text(HEADERS.get(path.suffix[1:], "") + "".join(map(make, titles)), encoding="utf-8")


@pytest.mark.parametrize("suffix", WRITTEN)
def test_large_files_are_streamed(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(source, "_CHUNK", 1 << 13)
    path = tmp_path / f"large.{suffix}"
    write(path, (f"T{n}" for n in range(1, ROWS + 1)))
    list(read_papers([path]))
    tracemalloc.start()
    try:
        read = collect_papers([path])
        titles = [paper.title for paper in read.papers]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert titles == [f"T{n}" for n in range(1, ROWS + 1)]
    assert path.stat().st_size > 600_000
    assert peak < 300_000


def test_file_broken_at_its_end_yields_no_papers(tmp_path):
    good, bad = tmp_path / "good.nbib", tmp_path / "bad.nbib"
    write(good, ["T1", "T2"])
    write(bad, ["T3", "T4"])
    bad.write_bytes(bad.read_text(encoding="utf-8").encode("utf-16") + b"x")
    problems = []
    read = collect_papers([good, bad, good.parent / "none", bad], problems.append)
    assert [paper.title for paper in read.papers] == ["T1", "T2"]
    assert [file.entries for file in read.files] == [range(2)]
    assert [problem.path for problem in problems] == [str(bad), str(good.parent / "none")]
    assert problems[0].line
    with pytest.raises(TaggerError):
        next(read_papers([bad]))


def test_entries_of_several_files_are_merged(tmp_path):
    write(tmp_path / "a.csv", ["One", "Two", "one!"])
    write(tmp_path / "b.json", ["Three", "Two"])
    read = collect_papers([tmp_path / "a.csv", tmp_path / "b.json"])
    assert [file.format for file in read.files] == ["csv", "json"]
    assert [file.entries for file in read.files] == [range(3), range(3, 5)]
    assert read.papers.numbers.tolist() == [0, 1, 0, 2, 1]
    sources = [paper.sources for paper in read.papers]
    assert sources == [("a.csv",), ("a.csv", "b.json"), ("b.json",)]
