"""A run over shards: what one machine says, exactly once, whatever happens on the way."""

import bz2
import errno
import gzip
import json
import os
import zipfile
from contextlib import nullcontext, suppress
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.samples import contents
from helpers.serial_engine import SerialEngine

from tagger._util.atomic import replacing_bytes
from tagger.errors import TaggerError
from tagger.model import ReviewRule, load_model
from tagger.papers import collect_papers
from tagger.tagging import tag_papers, tag_shard, tag_tables
from tagger.tagging.storage import find_files

RULE = ReviewRule()
BAD = '{broken\n[1]\n{"abstract": "no title"}\n'


@pytest.fixture(scope="module")
def saved(saved_model):
    return load_model(saved_model)


@pytest.fixture
def tag(out, saved, saved_model):
    """Tag tables with an engine in this process, 16 rows a shard."""

    def tag(*places, engine=None, rule=RULE, **options):
        options |= {"rows_per_shard": 16}
        engine = engine or SerialEngine()
        return tag_tables([*map(str, places)], saved, saved_model, out, rule, engine, **options)

    return tag


@pytest.fixture
def local(tmp_path, saved):
    """Tag files without shards: the rows, and the problems."""

    def local(*paths):
        problems = []
        read = collect_papers(paths, problems.append)
        problems += [problem for file in read.files for problem in file.problems.values()]
        out = tmp_path / "local"
        run = tag_papers(read.papers, saved, out, RULE, read=read, problems=problems)
        return [replace(paper, time=None).as_row() for paper in run.tagged()], problems_in(out)

    return local


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def tagged(folder):
    """Return the rows of all parts, in order."""
    parts = sorted((folder / "tags").iterdir())
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def problems_in(folder):
    path = folder / "problems.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def test_it_says_what_one_machine_says(tag, out, local, rows, write_json, monkeypatch, saved):
    real = type(saved).predict

    def poisoned(self, papers):
        if any("number 42 " in paper.title for paper in papers):
            raise RuntimeError("too much for the tokenizer")
        return real(self, papers)

    monkeypatch.setattr(type(saved), "predict", poisoned)
    first, second = write_json(rows[:120], "a.jsonl"), write_json(rows[120:], "b.jsonl", after=BAD)
    run = tag(first, second)
    whole, problems = local(first, second)
    assert tagged(out) == whole
    merged = [row["sources"] for row in whole if len(row["sources"]) > 1]
    assert merged == [["a.jsonl", "b.jsonl"]] * 3
    by_line = sorted(problems_in(out), key=lambda problem: problem["line"] or 0)
    assert by_line == sorted(problems, key=lambda problem: problem["line"] or 0)
    assert "too much for the tokenizer" in by_line[0]["reason"]
    places = [(problem["file"], problem["line"]) for problem in by_line[1:]]
    assert places == [(str(second), line) for line in (81, 82, 83)]
    assert (run.rows, run.tagged, run.merged, run.problems) == (203, len(whole), 3, 4)
    assert run.to_review == sum(row["review"] is not None for row in whole)
    assert run.counts["kind"].total() == sum(run.parts.values()) == len(whole)
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["tagged"] == len(whole)
    assert not (out / ".work").exists()


def test_packed_and_stored_files_are_read(tag, out, local, tmp_path, rows, write_json):
    plain, packed = write_json(rows[:20], "plain.jsonl"), write_json(rows[20:40], "packed.jsonl")
    table, library = tmp_path / "table.parquet", tmp_path / "my.bib"
    pq.write_table(pa.Table.from_pylist(rows[60:80]), table)
    library.write_text("@misc{a, title={One heart}}", encoding="utf-8")
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(packed.read_bytes()))
    stored = tmp_path / "my.bib.bz2"
    stored.write_bytes(bz2.compress(library.read_bytes()))
    with zipfile.ZipFile(tmp_path / "store.zip", "w") as file:
        file.write(plain, "in/plain.jsonl")
    archive = f"zip://in/plain.jsonl::{tmp_path / 'store.zip'}"
    assert tag(archive, f"{tmp_path}/*.gz", f"file://{table}", stored).tagged == 61
    assert tagged(out) == local(plain, packed, table, library)[0]


@pytest.mark.parametrize("lost", [("read", 1), ("tag", 7)])
def test_a_run_that_was_killed_goes_on_where_it_stopped(tag, out, rows, write_json, lost):
    paths = write_json(rows[:150], "a.jsonl"), write_json(rows[150:], "b.jsonl", after=BAD)
    with pytest.raises(KeyboardInterrupt):
        tag(*paths, engine=SerialEngine(lost))
    before = contents(out / "tags")
    assert len(before) == (7 if lost[0] == "tag" else 0)
    engine = SerialEngine()
    run = tag(*paths, engine=engine)
    assert run.shards_before == len(before)
    assert engine.steps.count("tag") == 14 - len(before)
    after = contents(out / "tags")
    assert {name: after[name] for name in before} == before
    assert run.rows == 203
    assert len(tagged(out)) == run.tagged == 197
    assert [problem["line"] for problem in problems_in(out)] == [51, 52, 53]
    # The same command again does nothing.
    again = tag(*paths, engine=(engine := SerialEngine()))
    assert (engine.steps, again.shards_before, contents(out / "tags")) == ([], run.shards, after)


def test_a_part_that_is_gone_or_torn_is_made_again(tag, out, rows, write_json):
    path = write_json(rows)
    tag(path)
    before = contents(out / "tags")
    parts = sorted((out / "tags").iterdir())
    parts[0].unlink()
    parts[3].write_bytes(parts[3].read_bytes()[:-9])
    (out / "tags" / ".part-000005.parquet.abc.tmp").write_text("half", encoding="utf-8")
    run = tag(path)
    assert run.shards_before == 11
    assert contents(out / "tags") == before
    (out / "tags" / "part-000099.parquet").write_bytes(b"mine")
    with pytest.raises(TaggerError, match=r"part-000099\.parquet: is no part of this run"):
        tag(path)


def test_a_row_at_which_workers_die_is_given_up(tag, out, local, rows, write_json, monkeypatch):
    real, deaths = tag_shard.tag_batch, []

    def deadly(papers, model, rule):
        if any("number 42 " in paper.title or "number 44 " in paper.title for paper in papers):
            deaths.append(len(papers))
            raise SystemExit
        return real(papers, model, rule)

    monkeypatch.setattr(tag_shard, "tag_batch", deadly)
    path = write_json(rows)
    for _ in range(9):
        with suppress(SystemExit):
            run = tag(path)
    assert (run.problems, run.worker_deaths) == (2, len(deaths))
    assert deaths[1:3] == [1, 1]
    for number, problem in zip((42, 44), problems_in(out), strict=True):
        assert f"Paper number {number} " in problem["reason"]
        assert "2 workers died" in problem["reason"]
    left = [row for row in local(path)[0] if not {"42", "44"} & {*row["title"].split()}]
    assert tagged(out) == left


@pytest.mark.parametrize(
    "target", ["tag_shard.replacing_bytes", "shards.EntryKeys.save", "tag_shard.Path.write_text"]
)
def test_a_full_disk_is_said_and_the_run_can_go_on(tag, out, rows, write_json, monkeypatch, target):
    path = write_json(rows, after="{broken\n")

    def full(*args, **_more):
        with replacing_bytes(args[0]) if target.endswith("bytes") else nullcontext():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(f"tagger.tagging.{target}", full)
        with pytest.raises(TaggerError, match=r"cannot be written \(No space left on device\)"):
            tag(path)
    run = tag(path)
    assert (run.rows, run.problems) == (201, 1)
    assert not list(out.rglob("*.tmp"))


def test_results_of_another_run_are_never_mixed(tag, out, rows, write_json):
    path = write_json(rows)
    tag(path)
    before = contents(out / "tags")
    for name, other in {"rule": ReviewRule(0.9), "columns": {"abstract": "title"}}.items():
        with pytest.raises(TaggerError, match=f"with other {name}"):
            tag(path, **{name: other})
    write_json(rows[1:])
    with pytest.raises(TaggerError, match="with other files"):
        tag(path)
    assert contents(out / "tags") == before
    (out / "plan.json").unlink()
    with pytest.raises(TaggerError, match="something else than results"):
        tag(path)
    assert contents(out / "tags") == before


def test_a_result_that_is_lost_at_the_end_is_noticed(tag, out, rows, write_json):
    class Elsewhere(SerialEngine):
        def each(self, work, items, **options):
            yield from super().each(work, items, **options)
            (out / "tags" / "part-000002.parquet").unlink(missing_ok=True)

    with pytest.raises(TaggerError, match="16 rows came in, and 0 are there"):
        tag(write_json(rows), engine=Elsewhere())


def test_a_broken_file_ends_the_run_before_anything_is_tagged(tag, out, tmp_path):
    (tmp_path / "a.csv").write_text('title,abstract\nA,"open\n', encoding="utf-8")
    with pytest.raises(TaggerError, match=r"a\.csv:2: a cell in quotes does not end"):
        tag(tmp_path / "a.csv")
    assert contents(out / "tags") == {}


def test_folders_and_patterns_name_their_files_in_order(tmp_path):
    for name in ("b.csv", "a.csv", "year=2020/c.parquet", "_SUCCESS", ".hidden/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("title\nA\n", encoding="utf-8")

    def found(*places):
        return [file.place for file in find_files(places)]

    names = [f"{tmp_path}/{name}" for name in ("a.csv", "b.csv", "year=2020/c.parquet")]
    assert found(str(tmp_path)) == names
    assert found(f"file://{tmp_path}/") == [f"file://{name}" for name in names]
    assert found(f"{tmp_path}/*.csv") == names[:2]
    assert found(names[1], str(tmp_path)) == [names[1], names[0], names[2]]
    for place in ("missing.csv", "nosuch://a/b.csv"):
        with pytest.raises(TaggerError, match=r"no such file|cannot be reached"):
            find_files([place])
