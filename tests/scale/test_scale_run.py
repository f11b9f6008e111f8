"""A run over shards: what one machine says, exactly once, whatever happens on the way."""

import errno
import json
import os
import subprocess
import sys
from contextlib import nullcontext

import pyarrow.parquet as pq
import pytest
from helpers.serial_engine import SerialEngine

from tagger.atomic import replacing_bytes
from tagger.decision import ReviewRule
from tagger.errors import TaggerError
from tagger.model import load_model
from tagger.paper import merge_duplicates
from tagger.readers import read_papers
from tagger.scale import duplicates, tag_shard
from tagger.scale.attempts import Attempts
from tagger.scale.run import tag_tables
from tagger.tagging import tag_batch

RULE = ReviewRule()


@pytest.fixture(scope="module")
def saved(saved_model):
    return load_model(saved_model)


@pytest.fixture
def tag(tmp_path, saved, saved_model):
    """Tag tables with an engine in this process, 16 rows a shard."""

    def tag(*places, engine=None, model=saved, rule=RULE, **options):
        options = {"rows_per_shard": 16, **options}
        engine = engine or SerialEngine()
        names = [str(place) for place in places]
        return tag_tables(names, model, saved_model, tmp_path / "out", rule, engine, **options)

    return tag


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def tagged(folder):
    """Return the rows of all parts, in order."""
    parts = sorted((folder / "tags").iterdir())
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def expected(model, *paths, rule=RULE):
    """Return what a run on one machine says, with confidences in the order of the taxonomy."""
    papers = tag_batch(merge_duplicates(read_papers(paths)), model, rule).papers
    return [paper.as_row() for paper in papers]


def letters(folder):
    return [
        json.loads(line)
        for path in sorted((folder / "dead_letters").iterdir())
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def contents(folder):
    """Return the bytes of all results."""
    parts = [*(folder / "tags").iterdir(), *(folder / "dead_letters").iterdir()]
    return {path.name: path.read_bytes() for path in parts}


def test_it_says_what_one_machine_says_duplicates_merged(tag, out, saved, rows, write_json):
    first, second = write_json(rows[:120], "a.jsonl"), write_json(rows[120:], "b.jsonl")
    run = tag(first, second)
    whole = expected(saved, first, second)
    assert tagged(out) == whole
    assert len(whole) < 199
    assert [row["sources"] for row in whole if len(row["sources"]) > 1] == [
        ["a.jsonl", "b.jsonl"]
    ] * 3
    manifest = run.manifest
    assert (manifest.rows, manifest.tagged, manifest.dead) == (200, len(whole), 0)
    assert manifest.merged == 200 - len(whole)
    assert manifest.to_review == sum(row["review"] is not None for row in whole)
    assert manifest.counts["kind"].total() == len(whole)
    assert sum(manifest.parts.values()) == len(whole)
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["tagged"] == len(whole)
    assert not (out / ".work").exists()


def test_names_are_compared_some_at_a_time_with_the_same_result(
    tag, out, saved, rows, write_json, monkeypatch
):
    find = duplicates.find_duplicate_names
    monkeypatch.setattr(
        "tagger.scale.duplicates.find_duplicate_names",
        lambda shards, work: find(shards, work, at_once=40),
    )
    path = write_json(rows)
    tag(path)
    assert tagged(out) == expected(saved, path)


def test_the_same_command_again_does_nothing_again(tag, out, rows, write_json):
    path = write_json(rows)
    tag(path)
    before = contents(out)
    engine = SerialEngine()
    run = tag(path, engine=engine)
    assert engine.steps == []
    assert run.shards_before == run.manifest.shards == 13
    # Another time of the same content is no other table.
    os.utime(path, (1, 1))
    tag(path, engine=engine)
    assert engine.steps == ["Scan"]
    assert contents(out) == before


@pytest.mark.parametrize(
    "lost", [("Scan", 0), ("NoteNames", 5), ("NoteCandidates", 0), ("TagShards", 7)]
)
def test_a_run_that_was_killed_goes_on_where_it_stopped(
    tag, out, saved, rows, write_json, tmp_path, lost
):
    path = write_json(rows, after="{broken\n")
    with pytest.raises(KeyboardInterrupt):
        tag(path, engine=SerialEngine(lost))
    before = contents(out) if (out / "tags").exists() else {}
    assert len(before) == (7 if lost[0] == "TagShards" else 0)
    engine = SerialEngine()
    run = tag(path, engine=engine)
    assert run.shards_before == len(before)
    assert engine.steps.count("TagShards") == 13 - len(before)
    assert (engine.steps.count("Scan") == 0) == (lost[0] != "Scan")
    after = contents(out)
    assert {name: after[name] for name in before} == before
    assert run.manifest.rows == 201
    assert len(tagged(out)) == run.manifest.tagged
    assert letters(out)[0]["line"] == 201


def test_a_part_that_is_gone_or_torn_is_made_again(tag, out, rows, write_json):
    path = write_json(rows)
    tag(path)
    before = contents(out)
    parts = sorted((out / "tags").iterdir())
    parts[0].unlink()
    parts[3].write_bytes(parts[3].read_bytes()[:-9])
    (out / "tags" / ".part-000005.parquet.abc.tmp").mkdir()
    run = tag(path)
    assert run.shards_before == 11
    assert contents(out) == before


def test_a_part_too_many_is_an_error(tag, out, rows, write_json):
    path = write_json(rows)
    tag(path)
    (out / "tags" / "part-000099.parquet").write_bytes(b"mine")
    with pytest.raises(TaggerError, match=r"part-000099\.parquet: is no part of this run"):
        tag(path)


def test_rows_that_cannot_be_tagged_are_dead_letters_and_the_sum_is_right(
    tag, out, saved, rows, write_json, monkeypatch
):
    real = tag_shard.tag_batch

    def poisoned(papers, model, rule):
        if any("number 42 " in paper.title for paper in papers):
            raise RuntimeError("too much for the tokenizer")
        return real(papers, model, rule)

    monkeypatch.setattr(tag_shard, "tag_batch", poisoned)
    path = write_json(rows, after='{"abstract": "No title"}\n')
    manifest = tag(path).manifest
    assert (manifest.rows, manifest.dead) == (201, 2)
    assert manifest.tagged + manifest.merged == 199
    first, second = letters(out)
    assert first["reason"] == "cannot be tagged (RuntimeError: too much for the tokenizer)"
    assert (first["line"], first["given"]["title"]) == (43, "Paper number 42 on the survey")
    assert (second["line"], second["given"]) == (201, {"abstract": "No title"})
    rest = expected(saved, write_json(rows[:42] + rows[43:]))
    assert tagged(out) == rest


def test_a_model_that_can_tag_nothing_is_an_error_not_a_dead_letter(
    tag, out, rows, write_json, monkeypatch
):
    def broken(*_args):
        raise RuntimeError("no memory")

    monkeypatch.setattr(tag_shard, "tag_batch", broken)
    with pytest.raises(RuntimeError, match="no memory"):
        tag(write_json(rows))
    assert contents(out) == {}


def test_a_row_at_which_workers_die_is_given_up(tag, out, saved, rows, write_json, monkeypatch):
    real, deaths = tag_shard.tag_batch, []

    class Killed(BaseException):
        pass

    def deadly(papers, model, rule):
        if any("number 42 " in paper.title or "number 44 " in paper.title for paper in papers):
            deaths.append(len(papers))
            raise Killed
        return real(papers, model, rule)

    monkeypatch.setattr(tag_shard, "tag_batch", deadly)
    path = write_json(rows)
    for _ in range(9):
        try:
            run = tag(path)
            break
        except Killed:
            continue
    assert run.manifest.dead == 2
    assert deaths == [16, 1, 1, 10, 1, 1] or deaths[1:3] == [1, 1]
    assert {letter["reason"] for letter in letters(out)} == {
        "2 workers died while they tagged it alone"
    }
    left = [row for row in expected(saved, path) if not {"42", "44"} & {*row["title"].split()}]
    assert tagged(out) == left


def test_a_worker_that_died_by_chance_costs_no_row(tmp_path):
    path = tmp_path / "attempts" / "000001.json"
    Attempts(path).begin(64, 128)
    second = Attempts(path)
    assert second.is_suspect(64)
    assert not second.is_suspect(128)
    second.begin(70, 71)
    third = Attempts(path)
    assert third.is_suspect(70)
    assert not third.is_given_up(70)
    third.begin(70, 71)
    assert Attempts(path).is_given_up(70)
    path.write_text("[[1,", encoding="utf-8")
    assert not Attempts(path).is_suspect(1)


@pytest.mark.parametrize("what", ["part", "letters", "names", "note"])
def test_a_full_disk_is_said_and_the_run_can_go_on(tag, out, rows, write_json, monkeypatch, what):
    path = write_json(rows, after="{broken\n")

    def full(*args, **_more):
        with replacing_bytes(args[1]) if what == "part" else nullcontext():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target = {
        "part": "tagger.scale.tag_shard.Part.write",
        "letters": "tagger.scale.dead_letters.asdict",
        "names": "tagger.scale.duplicates.np.save",
        "note": "tagger.scale.attempts.Path.write_text",
    }[what]
    with monkeypatch.context() as patch:
        patch.setattr(target, full)
        with pytest.raises(TaggerError, match=r"cannot be written \(No space left on device\)"):
            tag(path)
    assert not list(out.rglob("*.tmp"))
    run = tag(path)
    assert run.manifest.rows == 201
    assert run.manifest.dead == 1


def test_two_runs_into_one_folder_are_refused(tag, out, rows, write_json):
    path = write_json(rows)
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom tagger.atomic import exclusively\n"
        "with exclusively(Path(sys.argv[1]), wait=False):\n"
        "    print('here', flush=True)\n    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, out / "plan.json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert other.stdout.readline() == b"here\n"
        with pytest.raises(TaggerError, match="another run writes here"):
            tag(path)
        # However it ends, it holds nothing any more.
        other.kill()
        other.wait(20)
        assert tag(path).manifest.rows == 200
    finally:
        other.kill()
        other.communicate()


def test_results_of_another_run_are_never_mixed(tag, out, saved, rows, write_json):
    path = write_json(rows)
    tag(path)
    before = contents(out)
    with pytest.raises(TaggerError, match="of other settings"):
        tag(path, rule=ReviewRule(0.9))
    with pytest.raises(TaggerError, match="of other settings"):
        tag(path, columns={"abstract": "title"})
    write_json(rows[1:])
    with pytest.raises(TaggerError, match="of other tables"):
        tag(path)
    assert contents(out) == before
    (out / "plan.json").unlink()
    with pytest.raises(TaggerError, match="something else than results"):
        tag(path)
    assert contents(out) == before


def test_a_result_that_is_lost_at_the_end_is_noticed(tag, out, rows, write_json):
    path = write_json(rows, after="{broken\n")

    class Forgetful(SerialEngine):
        def each(self, step, items):
            yield from super().each(step, items)
            if type(step).__name__ == "TagShards":
                next((out / "dead_letters").iterdir()).unlink()

    with pytest.raises(TaggerError, match="201 rows came in, and 200 are accounted for"):
        tag(path, engine=Forgetful())

    class Elsewhere(SerialEngine):
        def each(self, step, items):
            yield from super().each(step, items)
            if type(step).__name__ == "TagShards":
                (out / "tags" / "part-000002.parquet").unlink()

    (out / "tags" / "part-000012.parquet").unlink()
    with pytest.raises(TaggerError, match="must see the output folder under one path"):
        tag(path, engine=Elsewhere())


def test_a_damaged_copy_of_the_model_is_refused(tag, out, rows, write_json):
    path = write_json(rows)
    with pytest.raises(KeyboardInterrupt):
        tag(path, engine=SerialEngine(("TagShards", 1)))
    (out / "model" / "encoder.onnx").write_bytes(b"other")
    with pytest.raises(TaggerError, match=r"does not match the hash in model\.json"):
        tag(path)
