import json
from datetime import UTC, datetime

import pytest
from helpers.tiny_report import tag_row

from tagger.errors import TaggerError
from tagger.papers import Review, TaggedPaper, paper_id
from tagger.report.results import read_result_folder


def test_what_tagging_writes_is_read(tmp_path):
    id_, time = paper_id("A title"), datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
    tags, confidence = {"kind": ("survey",)}, {"kind": {"survey": 0.55, "method": 0.45}}
    doubt = Review(("kind",), "kind: survey 0.55 or method 0.45")
    written = TaggedPaper(
        id_, "A title", ("monday.txt",), tags, confidence, doubt, "tagger/1", "small@0", time
    )
    # Unknown fields, for example of a later version, are ignored.
    line = json.dumps({**written.as_row(), "new": 1})
    (tmp_path / "tags.jsonl").write_text(line, encoding="utf-8")
    folder = read_result_folder(tmp_path)
    assert folder.papers == (written,)
    assert folder.time == time
    assert folder.papers[0].paper_confidence == 0.55
    assert (folder.pages, folder.models) == (("monday.txt",), ("tagger/1",))
    assert folder.near_duplicates == ()


def test_the_confidence_of_a_facet_without_tags_is_one_minus_its_highest_probability(write_results):
    row = tag_row("Ash", sure=0.99)
    row["confidence"]["field"]["law"] = 0.3
    assert write_results("run", 1, row).papers[0].paper_confidence == pytest.approx(0.7)


def test_an_invalid_result_folder_is_an_error(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    for name, problem in (("none", "no such result folder"), ("file", "is a file, not a folder")):
        with pytest.raises(TaggerError, match=f"{name}: {problem}.*tagger tag"):
            read_result_folder(tmp_path / name)
    with pytest.raises(TaggerError, match=r"no tags\.jsonl"):
        read_result_folder(tmp_path)
    (tmp_path / "tags.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(TaggerError, match="no papers"):
        read_result_folder(tmp_path)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"title": None}, r":2: field 'title': "),
        ({"review": {"facets": []}}, r":2: field 'review.reason': this field is missing"),
        ({"confidence": {"kind": {"method": 1.2}}}, r":2: field 'confidence.kind.method': "),
        ({"identifiers": ["isbn:1"]}, r":2: the identifier 'isbn:1'"),
        ({"confidence": {}}, r":2: the confidence of the tag 'kind/method'"),
        (b"{", ":2: is not valid JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[" * 100_000, ":2: is nested"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, problem):
    if isinstance(line, dict):
        line = json.dumps({**tag_row("Birch"), **line}).encode()
    content = json.dumps(tag_row("Ash")).encode() + b"\n" + line
    (tmp_path / "tags.jsonl").write_bytes(content)
    with pytest.raises(TaggerError, match=problem):
        read_result_folder(tmp_path)
