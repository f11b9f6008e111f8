import csv
import tracemalloc
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from helpers.samples import json_lines, untimed

from tagger.errors import TaggerError
from tagger.model import ReviewRule
from tagger.papers import Paper, collect_papers
from tagger.tagging import check_output, tag_papers
from tagger.tagging import run as tagging_run
from tagger.tagging.engine import LocalEngine
from tagger.tagging.run import WORK_FOLDER
from tagger.tagging.writers import arrow

RULE = ReviewRule()


def contents(folder):
    files = (path for path in folder.iterdir() if path.is_file() and path.suffix != ".lock")
    return {path.name: untimed(path.read_bytes()) for path in files}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(LocalEngine, "shard_size", 64)


def test_every_paper_comes_out_once_in_order(tmp_path, model, papers):
    papers[7] = replace(papers[6], title="Another version", id="another")
    seen = []
    out = tmp_path / "new" / "out"
    run = tag_papers(papers, model, out, RULE, progress=lambda *step: seen.append(step))
    assert json_lines(out / "tags.jsonl") == [paper.as_row() for paper in run.tagged()]
    assert [paper.id for paper in run.tagged()] == [paper.id for paper in papers]
    tagged = [("Tagging", done, 150) for done in (0, 64, 128, 150)]
    assert seen == tagged + [("Writing results", step, 4) for step in range(5)]
    assert run.to_review == sum(paper.review is not None for paper in run.tagged())
    assert sum(run.counts["kind"].values()) == 150
    pairs = (out / "near_duplicates.jsonl").read_text(encoding="utf-8")
    assert "Another version" in pairs
    assert {path.name for path in run.files} == set(contents(out))


def test_what_cannot_be_tagged_costs_the_others_nothing(tmp_path, model, papers, poison):
    whole = [paper.id for paper in tag_papers(papers, model, tmp_path / "whole", RULE).tagged()]
    poison()
    run = tag_papers(papers, model, tmp_path / "out", RULE)
    assert [paper.id for paper in run.tagged()] == whole[:42] + whole[43:]
    [problem] = json_lines(tmp_path / "out" / "problems.jsonl")
    assert (problem["file"], problem["line"]) == ("page.txt", None)
    assert "Paper number 42" in problem["reason"]
    assert "RuntimeError: too much" in problem["reason"]
    # Where nothing can be tagged, it is the model's fault. A run without problems has no list.
    with pytest.raises(RuntimeError, match="too much"):
        tag_papers([papers[42], replace(papers[42], id="another")], model, tmp_path / "none", RULE)
    tag_papers(papers[:9], model, tmp_path / "out", RULE)
    assert not (tmp_path / "out" / "problems.jsonl").exists()


def killed_after(shards):
    """Return what is told of progress and kills the run when so many shards are done."""
    return Mock(side_effect=[None] * shards + [KeyboardInterrupt])


@pytest.mark.parametrize("change", ["identifiers", "papers", "rule", "version"])
def test_shards_of_another_run_are_not_used(tmp_path, model, papers, monkeypatch, change):
    with pytest.raises(KeyboardInterrupt):
        tag_papers(papers, model, tmp_path, RULE, progress=killed_after(1))
    calls, rule = model.encoder.calls, ReviewRule(1.0) if change == "rule" else RULE
    if change == "identifiers":
        papers = [replace(paper, identifiers=("doi:10.1/a",)) for paper in papers]
    elif change == "papers":
        papers = papers[1:]
    elif change == "version":
        monkeypatch.setattr(tagging_run, "__version__", "0.0.1")
    run = tag_papers(papers, model, tmp_path, rule)
    assert [paper.identifiers for paper in run.tagged()] == [paper.identifiers for paper in papers]
    assert model.encoder.calls == calls + 3


@pytest.mark.parametrize(("steps", "before"), [(0, 0), (1, 1), (5, 3)])
def test_a_first_run_goes_on_after_an_interruption(tmp_path, model, papers, steps, before):
    with pytest.raises(KeyboardInterrupt):
        tag_papers(papers, model, tmp_path, RULE, progress=killed_after(steps))
    assert not (tmp_path / "tags.jsonl").exists()
    assert (tmp_path / "abstracts.jsonl").exists() == (steps == 5)
    assert tag_papers(papers, model, tmp_path, RULE).shards_before == before


def test_each_run_shares_its_own_model(tmp_path, model, papers, monkeypatch):
    """A copy that an interrupted run left must not tag the papers of a run with another model."""
    folders = []
    monkeypatch.setattr(
        LocalEngine, "share", lambda _, model, folder: folders.append(folder) or (lambda: model)
    )
    for name in ("one/1", "one/2"):
        tag_papers(papers[:2], replace(model, name=name), tmp_path, RULE)
    assert len({*folders}) == 2


def test_an_output_that_is_a_file_is_refused(tmp_path, model, papers):
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    with pytest.raises(TaggerError, match="is a file, not a folder"):
        tag_papers(papers, model, tmp_path / "out", RULE)
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


def test_libraries_are_given_back_unless_they_changed(tmp_path, model, monkeypatch):
    path, out = tmp_path / "my.bib", tmp_path / "out"
    path.write_text("@misc{a, title={One heart}}", encoding="utf-8")
    read = collect_papers([path])

    with monkeypatch.context() as patch:
        patch.setattr(tagging_run, "write_with_keywords", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tag_papers(read.papers, model, out, RULE, read=read)
    calls = model.encoder.calls
    run = tag_papers(read.papers, model, out, RULE, read=read)
    assert model.encoder.calls == calls
    assert "keywords" in (out / "my.bib").read_text(encoding="utf-8")
    assert out / "my.bib" in run.files
    assert not (out / WORK_FOLDER).exists()
    path.write_text("@misc{b, title={Another}}@misc{a, title={One heart}}", encoding="utf-8")
    with pytest.raises(TaggerError, match=r"my\.bib: was changed while its papers were tagged"):
        tag_papers(read.papers, model, tmp_path / "other", RULE, read=read)
    assert (tmp_path / "other" / WORK_FOLDER).exists()
    assert "my.bib" not in contents(tmp_path / "other")


@pytest.mark.parametrize(
    ("target", "form", "given"),
    [
        ("tags.csv", "csv", "tags.csv"),
        ("tags.xlsx", "excel", "tags.xlsx"),
        ("near_duplicates.jsonl", "csv", "near_duplicates.jsonl"),
        ("tags_dataset/dataset_info.json", "dataset", "tags_dataset/dataset_info.json"),
    ],
)
def test_results_never_take_the_place_of_what_is_read(tmp_path, monkeypatch, target, form, given):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "data" / target
    file.parent.mkdir(parents=True)
    file.touch()
    check_output(Path("other"), [form], [tmp_path / "data" / given])
    with pytest.raises(TaggerError, match=r"results would replace it. Choose another --outp"):
        check_output(Path("data"), [form], [tmp_path / "data" / given])


def test_csv_tells_the_same_as_json_lines(tmp_path, model, papers):
    run = tag_papers(papers, model, tmp_path, RULE)
    with (tmp_path / "tags.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    for cells, paper in zip(table, run.tagged(), strict=True):
        assert (cells["id"], cells["title"]) == (paper.id, paper.title)
        assert (cells["kind"],) == paper.tags["kind"]
        assert tuple(tag for tag in cells["field"].split("; ") if tag) == paper.tags["field"]
        assert float(cells["kind_confidence"]) == paper.confidence["kind"][cells["kind"]]
        assert bool(cells["review"]) == (paper.review is not None)
        assert cells["time"] == paper.time.isoformat(timespec="milliseconds")


def test_memory_does_not_grow_with_the_papers(tmp_path, model, monkeypatch):
    monkeypatch.setattr(arrow, "ROWS_AT_ONCE", 16)
    monkeypatch.setattr(LocalEngine, "shard_size", 8)

    def peak(count):
        papers = (Paper(f"Paper {n}", "so" * 2000) for n in range(count))
        tracemalloc.start()
        try:
            tag_papers(papers, model, tmp_path / str(count), RULE, formats=["dataset"])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # What is imported is no matter here.
    peak(10)
    # An abstract alone takes 4,000 bytes, and a row of the results as much.
    assert (peak(200) - peak(40)) / 160 < 1000
