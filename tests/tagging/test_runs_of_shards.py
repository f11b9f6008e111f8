"""A run over shards: what one machine says, exactly once, whatever happens on the way."""

import bz2
import errno
import gzip
import json
import os
import zipfile
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.samples import contents, json_lines, untimed
from helpers.serial_engine import SerialEngine

from tagger._util.atomic import replacing_bytes
from tagger.errors import TaggerError
from tagger.model import ReviewRule, load_model
from tagger.papers.readers.storage import find_files
from tagger.tagging import parts, read_for_run, tag_papers

RULE = ReviewRule()
BAD = '{broken\n[1]\n{"abstract": "no title"}\n'


@pytest.fixture(scope="module")
def saved(saved_model):
    return load_model(saved_model)


def read(places, out, engine, **options):
    """Read files for a run; return papers and all problems."""
    problems = []
    found = read_for_run([*map(str, places)], problems.append, folder=out, engine=engine, **options)
    problems += [problem for file in found.files for problem in file.problems.values()]
    return found, problems


@pytest.fixture
def tag(out, saved):
    """Tag files into parts, with an engine in this process, 16 papers a shard."""

    def tag(*places, engine=None, rule=RULE, model=saved, **options):
        engine = engine or SerialEngine()
        found, problems = read(places, out, engine, **options)
        return tag_papers(
            found.papers, model, out, rule, read=found, problems=problems, parts=True, engine=engine
        )

    return tag


@pytest.fixture
def local(tmp_path, saved):
    """Tag files as usual: the rows, and the problems."""

    def local(*paths):
        out = tmp_path / "local"
        found, problems = read(paths, out, None)
        run = tag_papers(found.papers, saved, out, RULE, read=found, problems=problems)
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
    return json_lines(path) if path.exists() else []


def test_it_says_what_one_machine_says(tag, out, local, rows, write_json, poison):
    poison()
    first, second = write_json(rows[:120], "a.jsonl"), write_json(rows[120:], "b.jsonl", after=BAD)
    run = tag(first, second)
    whole, problems = local(first, second)
    assert tagged(out) == whole
    merged = [row["sources"] for row in whole if len(row["sources"]) > 1]
    assert merged == [["a.jsonl", "b.jsonl"]] * 3
    assert problems_in(out) == problems
    assert "too much for the tokenizer" in problems[-1]["reason"]
    places = [(problem["file"], problem["line"]) for problem in problems[:-1]]
    assert places == [(str(second), line) for line in (81, 82, 83)]
    assert (run.rows, run.papers, run.merged, len(run.problems)) == (203, len(whole), 3, 4)
    assert run.to_review == sum(row["review"] is not None for row in whole)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert run.counts["kind"].total() == sum(manifest["parts"].values()) == len(whole)
    assert [replace(paper, time=None).as_row() for paper in run.tagged()] == whole
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
    assert tag(archive, f"{tmp_path}/*.gz", f"file://{table}", stored).papers == 61
    assert tagged(out) == local(plain, packed, table, library)[0]


@pytest.mark.parametrize("lost", [("read", 1), ("tag", 7)])
@pytest.mark.parametrize("parts", [True, False])
def test_a_run_that_was_killed_goes_on_where_it_stopped(
    tag, saved, out, rows, write_json, lost, parts
):
    paths = write_json(rows[:150], "a.jsonl"), write_json(rows[150:], "b.jsonl", after=BAD)

    def run(engine, folder=out):
        found, problems = read(paths, folder, engine)
        given = {"read": found, "problems": problems, "parts": parts, "engine": engine}
        return tag_papers(found.papers, saved, folder, RULE, **given)

    with pytest.raises(KeyboardInterrupt):
        run(SerialEngine(lost))
    assert not (out / "manifest.json").exists()
    done = run(engine := SerialEngine())
    assert done.shards_before == (7 if lost[0] == "tag" else 0)
    assert engine.steps.count("tag") == 13 - done.shards_before
    run(SerialEngine(), whole := out.with_name("whole"))
    made = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    assert made == {path.relative_to(whole) for path in whole.rglob("*") if path.is_file()}
    for path in made:
        assert untimed((out / path).read_bytes()) == untimed((whole / path).read_bytes())
    assert (done.rows, done.papers) == (203, 197)
    assert [problem["line"] for problem in problems_in(out)] == [51, 52, 53]


def test_a_part_that_is_gone_or_torn_is_made_again(tag, out, rows, write_json):
    path = write_json(rows)
    tag(path)
    before = contents(out / "tags")
    parts = sorted((out / "tags").iterdir())
    parts[0].unlink()
    parts[3].write_bytes(parts[3].read_bytes()[:-9])
    (out / "tags" / ".part-000005.parquet.abc.tmp").mkdir()
    run = tag(path)
    assert run.shards_before == 11
    assert run.shards == 13
    assert contents(out / "tags") == before
    (out / "tags" / "part-000099.parquet").write_bytes(b"mine")
    with pytest.raises(TaggerError, match=r"part-000099\.parquet: does not belong"):
        tag(path)


def test_an_interruption_is_no_death_of_a_worker(tag, local, rows, write_json, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    path = write_json(rows)
    with monkeypatch.context() as patched:
        patched.setattr(parts, "tag_batch", interrupted)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                tag(path)
    run = tag(path)
    assert (len(run.problems), run.worker_deaths) == (0, 0)


def test_a_row_at_which_workers_die_is_given_up(tag, out, local, rows, write_json, monkeypatch):
    real, deaths = parts.tag_batch, []

    def deadly(papers, model, rule):
        if any("number 42 " in paper.title or "number 44 " in paper.title for paper in papers):
            deaths.append(len(papers))
            raise SystemExit
        return real(papers, model, rule)

    path = write_json(rows)
    whole, _ = local(path)
    monkeypatch.setattr(parts, "tag_batch", deadly)
    for _ in range(9):
        with suppress(SystemExit):
            run = tag(path)
            break
    assert (len(run.problems), run.worker_deaths) == (2, len(deaths))
    assert deaths[1:3] == [1, 1]
    for number, problem in zip((42, 44), problems_in(out), strict=True):
        assert f"Paper number {number} " in problem["reason"]
        assert "2 workers died" in problem["reason"]
    left = [row for row in whole if not {"42", "44"} & {*row["title"].split()}]
    assert tagged(out) == left


def test_a_run_goes_on_after_one_in_which_no_worker_could_load_the_model(
    tag, rows, write_json, monkeypatch
):
    def deadly():
        raise SystemExit

    path = write_json(rows[:1])
    with monkeypatch.context() as patch:
        patch.setattr(SerialEngine, "share", lambda *_: deadly)
        for _ in range(8):
            with pytest.raises(SystemExit):
                tag(path)
        with pytest.raises(TaggerError, match="8 workers died"):
            tag(path)
    assert tag(path).papers == 1


@pytest.mark.parametrize(
    "target",
    [
        "tagging.parts.replacing_bytes",
        "papers.identity.EntryKeys.save",
        "tagging.parts.Path.write_text",
    ],
)
def test_a_full_disk_is_said_and_the_run_can_go_on(tag, out, rows, write_json, monkeypatch, target):
    path = write_json(rows, after="{broken\n")

    def full(*args, **_more):
        with replacing_bytes(args[0]) if target.endswith("bytes") else nullcontext():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(f"tagger.{target}", full)
        with pytest.raises(TaggerError, match=r"cannot be written \(No space left on device\)"):
            tag(path)
    run = tag(path)
    assert (run.rows, len(run.problems)) == (201, 1)
    assert not list(out.rglob("*.tmp"))


def test_a_full_disk_is_no_death_of_a_worker(tag, rows, write_json, monkeypatch):
    def full(path, *_):
        raise TaggerError("cannot be written (No space left on device)", path=path)

    path = write_json(rows[:1])
    with monkeypatch.context() as patch:
        patch.setattr(parts, "_write_part", full)
        for _ in range(3):
            with pytest.raises(TaggerError, match="No space left"):
                tag(path)
    run = tag(path)
    assert (run.papers, len(run.problems), run.worker_deaths) == (1, 0, 0)


def test_an_attempt_that_cannot_be_withdrawn_does_not_hide_the_error(
    tag, rows, write_json, monkeypatch
):
    def full(path, *_):
        raise TaggerError("cannot be written", path=path)

    monkeypatch.setattr(parts, "_write_part", full)
    monkeypatch.setattr(parts.Attempts, "withdraw", lambda self: full(self.path))
    with pytest.raises(TaggerError, match=r"part-000000\.parquet: cannot be written"):
        tag(write_json(rows[:1]))


def test_results_of_another_run_are_never_mixed(tag, out, rows, write_json):
    path = write_json(rows)
    tag(path)
    before = contents(out / "tags")
    others = {"rule": ReviewRule(0.9), "columns": {"abstract": "title"}}
    for name, other in others.items():
        with pytest.raises(TaggerError, match=r"part-000000\.parquet: does not belong"):
            tag(path, **{name: other})
    write_json(rows[1:])
    with pytest.raises(TaggerError, match="does not belong"):
        tag(path)
    assert contents(out / "tags") == before


def test_a_result_that_is_lost_at_the_end_is_noticed(tag, out, rows, write_json):
    class Elsewhere(SerialEngine):
        def each(self, work, items, **options):
            yield from super().each(work, items, **options)
            (out / "tags" / "part-000002.parquet").unlink(missing_ok=True)

    with pytest.raises(TaggerError, match="results of 16 papers"):
        tag(write_json(rows), engine=Elsewhere())


def test_a_broken_file_costs_the_others_nothing(tag, out, local, tmp_path, rows, write_json):
    good, bad = write_json(rows[:20]), tmp_path / "a.csv"
    bad.write_text('title,abstract\nA,"open\n', encoding="utf-8")
    run = tag(bad, good, tmp_path / "none.csv")
    assert (run.rows, run.papers, len(run.problems)) == (22, 20, 2)
    whole, problems = local(bad, good, tmp_path / "none.csv")
    assert tagged(out) == whole
    assert problems_in(out) == problems
    lines = {Path(problem["file"]).name: problem["line"] for problem in problems}
    assert lines == {"a.csv": 2, "none.csv": None}


def test_results_in_a_folder_are_not_among_its_papers(tmp_path):
    for name in ("manifest.json", "near_duplicates.jsonl", "refs.bib", "tags.csv"):
        (tmp_path / "tagged").mkdir(exist_ok=True)
        (tmp_path / "tagged" / name).touch()
    for name in ("manifest.json", "tagged-by-me.csv"):
        (tmp_path / name).touch()
    found = [Path(file.place).name for file in find_files([str(tmp_path)])]
    assert found == ["manifest.json", "tagged-by-me.csv"]
    assert len(find_files([f"{tmp_path}/tagged/*"])) == len(find_files([f"{tmp_path}/tagged"])) == 4


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
    assert found("missing.csv") == ["missing.csv"]
    for place in ("missing*.csv", "nosuch://a/b.csv"):
        with pytest.raises(TaggerError, match=r"no such file|cannot be reached"):
            find_files([place])
