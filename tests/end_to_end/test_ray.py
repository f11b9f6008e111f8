"""A real Ray cluster of several nodes on this machine, and what goes wrong in one."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from helpers.samples import json_lines, untimed

from tagger.model import ReviewRule, TaggerModel, load_model
from tagger.papers import merge_duplicates, read_papers
from tagger.tagging import RayEngine, ray_cluster, read_for_run, tag_papers
from tagger.tagging.batch import tag_batch
from tagger.tagging.engine import LocalEngine
from tagger.tagging.parts import ShardTagger

pytestmark = [pytest.mark.acceptance, pytest.mark.ray]

RULE = ReviewRule()
ROWS_PER_SHARD = 50
ENOUGH = 90 * 2**20
"""Bytes of the object store of each node; nothing but names of shards passes through it."""


ROUNDS = int(os.environ.get("TAGGER_KILL_ROUNDS", "1"))
"""How often everything is killed; 20 takes an hour."""


def patiently(start, tries=6):
    """Start a node; Ray gives itself half a minute for it, too little on a busy machine."""
    try:
        return start()
    except Exception as error:
        if tries == 1 or "timed out during startup" not in str(error):
            raise
        return patiently(start, tries - 1)


@pytest.fixture(scope="module")
def cluster():
    """A head that does no work, and two nodes with one processor each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        import ray
        from ray.cluster_utils import Cluster

        # What this module defines is not found on workers by its name.
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
        shared = {"object_store_memory": ENOUGH, "include_log_monitor": False}
        head = {"num_cpus": 0, "_system_config": {"health_check_initial_delay_ms": 0, **quick}}
        head |= {**shared, "no_monitor": True, "include_dashboard": False}
        cluster = patiently(lambda: Cluster(True, head_node_args=head))
        try:
            cluster.more = lambda: patiently(
                lambda: cluster.add_node(num_cpus=1, wait=False, **shared)
            )
            cluster.nodes = [cluster.more(), cluster.more()]
            cluster.wait_for_nodes()
            with ray_cluster(cluster.address):
                yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture
def busy():
    """Keep both cores busy with something else."""
    program = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(program) for _ in range(2)]
    yield
    for other in others:
        other.kill()
        other.wait()


@pytest.fixture(scope="module")
def saved(saved_model):
    return load_model(saved_model)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two thousand rows, of which some are of one paper, one has no title, one is poison."""
    rows = [
        {"title": f"Paper {n} on the heart", "abstract": f"Case {n}.", "doi": f"10.1234/{n}"}
        for n in (*range(1950), *range(50))
    ]
    rows[333] = {"abstract": "Nobody knows."}
    rows[777]["title"] = "Poison"
    path = tmp_path_factory.mktemp("table") / "papers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_in(folder):
    found = sorted((folder / "tags").iterdir())
    return [row for part in found for row in pq.read_table(part).to_pylist()]


class Trying(ShardTagger):
    """Tags slowly, and fails at the poison."""

    def __call__(self, number):
        def predict(model, papers, real=TaggerModel.predict):
            if any(paper.title == "Poison" for paper in papers):
                raise ValueError("poison")
            return real(model, papers)

        time.sleep(0.2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TaggerModel, "predict", predict)
            return super().__call__(number)


def tag(table, folder, saved, saved_model, engine=None, **options):
    engine = engine or RayEngine(saved_model)
    engine.shard_size = ROWS_PER_SHARD
    problems = []
    read = read_for_run([str(table)], problems.append, folder=folder, engine=engine)
    problems += [problem for file in read.files for problem in file.problems.values()]
    given = {"read": read, "problems": problems, "engine": engine, "parts": True, **options}
    return tag_papers(read.papers, saved, folder, RULE, **given)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_dead_worker_and_a_dead_node_lose_nothing(
    cluster, busy, table, saved, saved_model, tmp_path, monkeypatch, number
):
    papers = merge_duplicates(read_papers(table, on_error=lambda _error: None))
    good = [paper for paper in papers if paper.title != "Poison"]
    expected = [paper.as_row() for paper in tag_batch(good, saved, RULE).papers]
    happened = []

    def harm(stage, rows, _total):
        if stage != "Tagging":
            return
        if not happened and rows >= 700:
            ours = psutil.Process().children(recursive=True)
            next(process for process in ours if "MapWorker" in process.name()).kill()
            happened.append("worker")
        elif len(happened) == 1 and rows >= 1000:
            cluster.remove_node(cluster.nodes.pop(), allow_graceful=False)
            happened.append("node")

    monkeypatch.setattr("tagger.tagging.run.ShardTagger", Trying)
    run = tag(table, tmp_path, saved, saved_model, progress=harm)
    assert happened == ["worker", "node"]
    assert rows_in(tmp_path) == expected
    first, second = json_lines(tmp_path / "problems.jsonl")
    assert (first["line"], "title" in first["reason"]) == (334, True)
    assert "'Poison' cannot be tagged (ValueError: poison)" in second["reason"]
    assert (run.rows, run.papers, len(run.problems)) == (2000, len(expected), 2)
    assert run.merged == 2000 - 2 - len(expected)
    cluster.nodes.append(cluster.more())
    cluster.wait_for_nodes()


@pytest.mark.parametrize("in_parts", [True, False])
def test_both_engines_write_the_same_bytes(cluster, table, saved, saved_model, tmp_path, in_parts):
    def written(engine):
        folder = tmp_path / type(engine).__name__
        tag(table, folder, saved, saved_model, engine, parts=in_parts)
        files = [path for path in folder.rglob("[!.]*") if path.is_file()]
        return {path.relative_to(folder): untimed(path.read_bytes()) for path in files}

    on_ray = written(RayEngine(saved_model))
    assert {*on_ray} >= {Path("manifest.json"), Path("problems.jsonl")}
    assert on_ray == written(LocalEngine())
