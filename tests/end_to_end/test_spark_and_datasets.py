"""The scripts of the how-to page, run as they stand there, on a champion of a few kilobytes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.tiny_training import log_tiny

from tagger.model import ReviewRule, load_model
from tagger.papers import Paper
from tagger.registry import Registry
from tagger.tagging.batch import tag_batch

pytestmark = [pytest.mark.acceptance, pytest.mark.spark]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "tag-beyond-one-machine.md"
ROWS = [
    {
        "title": f"Paper {n} on the {('heart', 'court', 'survey')[n % 3]}",
        "abstract": "We ask a question." if n % 5 else None,
    }
    for n in range(40)
]


@pytest.fixture
def run(label_folder, saved_model, tmp_path, monkeypatch):
    """Run a script of the page beside a champion and a table; return the rows that it wrote."""
    monkeypatch.chdir(tmp_path)
    log_tiny(Registry(), label_folder, saved_model)
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "papers.parquet")
    text = PAGE.read_text(encoding="utf-8")
    scripts = dict(re.findall(r'^```python title="(\S+)"\n(.*?)^```', text, re.M | re.S))

    def run(name):
        (tmp_path / name).write_text(scripts[name], encoding="utf-8")
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            # Spark listens on the loopback interface only, and asks nobody for its name.
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_HOSTNAME": "localhost",
            "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.ui.enabled=false pyspark-shell",
        }
        done = subprocess.run(
            [sys.executable, name], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        rows = sorted(
            pq.read_table(tmp_path / "tagged.parquet").to_pylist(),
            key=lambda row: int(row["title"].split()[1]),
        )
        assert [row["title"] for row in rows] == [row["title"] for row in ROWS]
        return rows

    return run


@pytest.fixture
def expected(saved_model):
    """What ``tagger tag`` decides."""
    papers = [Paper(row["title"], row["abstract"] or "") for row in ROWS]
    return tag_batch(papers, load_model(saved_model), ReviewRule()).papers


def test_spark_tags_with_a_version_of_mlflow(run, expected):
    for row, decision in zip(run("tag_with_spark.py"), expected, strict=True):
        assert row["kind"] == list(decision.tags["kind"])
        assert row["field"] == list(decision.tags["field"])
        assert dict(row["kind.confidence"]) == decision.confidence["kind"]
        assert row["tagger.review"] == (decision.review is not None)
        assert row["tagger.reason"] == (decision.review.reason if decision.review else "")


def test_datasets_tags_in_several_processes(run, expected):
    for row, decision in zip(run("tag_with_datasets.py"), expected, strict=True):
        assert [row["kind"]] == list(decision.tags["kind"])
        assert row["field"] == list(decision.tags["field"])
        assert row["kind_confidence"] == decision.confidence["kind"][row["kind"]]
        assert row["review"] == (decision.review.reason if decision.review else "")
