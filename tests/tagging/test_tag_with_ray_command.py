"""``tagger tag --engine ray``: options, exit codes and what is printed; Ray itself is elsewhere."""

import json
from contextlib import nullcontext
from unittest.mock import Mock

import pytest
from helpers.serial_engine import SerialEngine
from typer.testing import CliRunner

from tagger import tagging
from tagger.cli import app
from tagger.errors import TaggerError
from tagger.tagging import ray_engine


@pytest.fixture
def run(monkeypatch, saved_model, tmp_path):
    """Run the command with an engine in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tagging, "RayEngine", lambda *_: SerialEngine(shard_size=8192))
    monkeypatch.setattr(tagging, "ray_cluster", lambda *_: nullcontext())

    words = ["tag", "--model", str(saved_model)]
    return lambda *arguments: CliRunner().invoke(app, [*words, *map(str, arguments)])


def test_it_tags_and_says_what_it_counted(run, rows, write_json, tmp_path):
    path = write_json(rows)
    done = run(path, "--engine", "ray", "--output", "large")
    assert done.exit_code == 0, done.output
    assert "200 entries, 197 papers, " in done.stdout
    assert "Written: large/tags, large/near_duplicates.jsonl, large/manifest.json" in done.stdout
    again = run(f"file://{path}", "--engine", "ray", "--output", "other", "--json")
    said = json.loads(again.stdout)
    assert (said["rows"], said["papers"], said["shards_before"]) == (200, 197, 0)
    assert sum(said["counts"]["kind"].values()) == 197


def test_problems_are_a_matter_for_the_one_who_gave_them(run, rows, write_json, tmp_path):
    done = run(write_json(rows, after="{broken\n"), "--engine", "ray", "--output", "large")
    assert done.exit_code == 2
    assert "papers.jsonl:201: " in done.stderr
    assert "1 not tagged" in done.stdout
    assert (tmp_path / "large" / "problems.jsonl").read_text(encoding="utf-8").count("\n") == 1


def test_columns_format_and_precision_are_taken(run, tmp_path):
    (tmp_path / "t.txt").write_text("Titel,Text\nOne,A heart\n", encoding="utf-8")
    chosen = ("--column", "title=Titel", "--format", "csv", "--target-precision", "0.9")
    said = json.loads(run("t.txt", "--engine", "ray", "--json", *chosen).stdout)
    assert said["papers"] == said["to_review"] == 1
    assert said["target"]["target_precision"] == 0.9


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("p.csv", "--workers", "2"), "need --engine ray"),
        (("p.csv", "--device", "cuda"), "need --engine ray"),
        (("p.csv", "--engine", "ray", "--column", "name=x"), "unknown field 'name'"),
        (("p.csv", "--engine", "ray", "--model", "labels"), "not a saved model"),
    ],
)
def test_what_cannot_be_is_refused(run, label_folder, arguments, problem):
    assert problem in str(run(*arguments).exception)


@pytest.mark.parametrize(("address", "tries"), [("10.0.0.1:6379", 1), (None, 3)])
def test_a_cluster_that_is_not_there_is_said(monkeypatch, address, tries):
    import ray

    nowhere = Mock(side_effect=Exception("nobody answers"))
    monkeypatch.setattr(ray, "init", nowhere)
    with (
        pytest.raises(TaggerError, match=r"Ray cannot be reached \(nobody answers\)"),
        ray_engine.ray_cluster(address),
    ):
        pass
    assert [call.kwargs["address"] for call in nowhere.mock_calls] == [address or "local"] * tries
