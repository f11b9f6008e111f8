"""Reading any content gives papers or a TaggerError."""

import io
import sys
from pathlib import Path

import pytest
from helpers.reading import parquet, workbook
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.papers import read_papers
from tagger.papers.readers import FORMATS

NAMES = list(FORMATS)


STARTS = [
    b"",
    workbook(("title", "abstract"), ("A", "b")),
    parquet({"title": ["A"] * 3, "abstract": ["b"] * 3}),
    b'{"title": "A", "abstract": "b"}\n',
    b'[{"title": ["A"]}, {"title": 1}]',
    b'title,abstract\nA,"b"\n',
    b"\xff\xfet\0i\0t\0l\0e\0\n\0A\0",
    b"<rss><channel><item><title>A</title></item></channel></rss>",
    b"<!doctype html><html><h2>A</h2><p>b. c. d.</p><br><a title=x class='title'>",
    b"From: a@b.c\nDate: x\nMIME-Version: 1.0\n"
    b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\nA\n--x--\n",
    b"From: a@b.c\nDate: x\nContent-Transfer-Encoding: base64\n\nQQ==",
]


@st.composite
def broken(draw):
    """Draw arbitrary bytes, or a file of some format with an overwritten part."""
    content = bytearray(draw(st.sampled_from(STARTS)))
    position = draw(st.integers(0, len(content)))
    new = draw(st.binary(max_size=20))
    length = draw(st.sampled_from([0, len(new), len(content)]))
    content[position : position + length] = new
    return bytes(content)


@settings(max_examples=15)
@pytest.mark.parametrize("name", [None, *NAMES])
@given(content=broken(), suffix=st.sampled_from([".txt", ".csv", ".xlsx"]))
def test_any_bytes_give_papers_or_a_tagger_error(tmp_path_factory, name, content, suffix):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(content)
    problems = []
    papers = list(read_papers([path], problems.append, format_name=name))
    assert papers or problems
    assert all(paper.sources == (path.name,) for paper in papers)
    for problem in problems:
        assert problem.path == str(path)
        assert "\n" not in str(problem)


@pytest.mark.parametrize(
    "content", ["title,abstract\n", "@comment{x}", "<rss></rss>", "[]", "\n\n"]
)
def test_a_file_without_papers_is_refused(tmp_path, content):
    (tmp_path / "given").write_text(content, encoding="utf-8")
    with pytest.raises(TaggerError, match="no papers") as caught:
        list(read_papers([tmp_path / "given"]))
    assert caught.value.path == str(tmp_path / "given")


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_refused_in_every_format(tmp_path, name):
    with pytest.raises(TaggerError):
        list(read_papers([tmp_path], format_name=name))


def test_standard_input_is_read_and_named(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(STARTS[5])))
    (paper,) = read_papers([Path("-")])
    assert (paper.title, paper.sources) == ("A", ("stdin",))


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "t.xlsx").write_bytes(STARTS[1])
    with pytest.raises(TaggerError, match=r"pip install 'tagger\[formats\]'"):
        list(read_papers([tmp_path / "t.xlsx"]))


def test_every_format_is_in_the_documentation():
    page = (Path(__file__).parents[3] / "docs/how-to/read-formats.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in page] == []
