"""Files in object storage: a real server that speaks S3, on the loopback interface."""

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import S3FileSystem

from tagger.model import ReviewRule, load_model
from tagger.tagging import read_for_run, tag_papers
from tagger.tagging.engine import LocalEngine

pytestmark = pytest.mark.acceptance


@pytest.fixture
def bucket(monkeypatch):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = "{}:{}".format(*server.get_host_and_port())
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{address}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anyone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    storage = S3FileSystem(endpoint_override=address, scheme="http", allow_bucket_creation=True)
    storage.create_dir("library")
    yield storage
    server.stop()


@pytest.mark.parametrize("engine", [None, LocalEngine()])
def test_papers_in_a_bucket_are_tagged_like_those_of_this_machine(
    bucket, saved_model, tmp_path, engine
):
    rows = [
        {"title": f"Paper {n} on the heart", "abstract": f"Case {n}.", "doi": f"10.1234/{n}"}
        for n in range(30)
    ]
    files = tmp_path / "files"
    files.mkdir()
    lines = [json.dumps(row) + "\n" for row in rows[:10]]
    (files / "a.jsonl").write_text("".join([*lines, "{broken\n"]), encoding="utf-8")
    pyarrow.csv.write_csv(pa.Table.from_pylist(rows[10:20]), files / "b.csv")
    pq.write_table(pa.Table.from_pylist(rows[20:]), files / "c.parquet")
    for path in files.iterdir():
        with bucket.open_output_stream(f"library/2026/{path.name}") as stream:
            stream.write(path.read_bytes())
    model = load_model(saved_model)

    def tag(place, name):
        problems = []
        read = read_for_run([place], problems.append, folder=tmp_path / name, engine=engine)
        problems += [problem for file in read.files for problem in file.problems.values()]
        given = {"read": read, "problems": problems, "engine": engine, "parts": bool(engine)}
        run = tag_papers(read.papers, model, tmp_path / name, ReviewRule(), **given)
        return [replace(paper, time=None) for paper in run.tagged()], run.problems

    papers, problems = tag("s3://library/2026", "stored")
    expected, local_problems = tag(str(files), "local")
    assert len(papers) == 30
    assert papers == expected
    assert [(problem.line, problem.reason) for problem in problems] == [
        (problem.line, problem.reason) for problem in local_problems
    ]
    assert [problem.file for problem in problems] == ["s3://library/2026/a.jsonl"]
