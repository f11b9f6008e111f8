"""Errors of a store, and that they lose nothing."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from tagger.errors import TaggerError
from tagger.registry import Registry, check_writable

TESTS = Path(__file__).parents[1]
LOG = (
    "import sys; from pathlib import Path; from helpers.tiny_training import log_tiny; "
    "from tagger.registry import Registry; "
    "print(log_tiny(Registry(), Path(sys.argv[1]), Path(sys.argv[2]), 1.0, int(sys.argv[3])).name)"
)


def test_a_damaged_store_is_one_line_of_error_and_stays_unchanged(registry):
    store = Path("mlruns/mlflow.db")
    store.write_bytes(b"not a database" * 100)
    with pytest.raises(TaggerError, match="MLflow store cannot be used") as caught:
        registry.champion()
    assert "\n" not in str(caught.value)
    assert store.read_bytes() == b"not a database" * 100


def test_a_kill_while_tables_are_created_leaves_no_database(registry, monkeypatch):
    from mlflow.store.db import utils

    shutil.rmtree("mlruns")
    with monkeypatch.context() as patch:
        patch.setattr(utils, "_upgrade_db", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            registry.champion()
    assert not Path("mlruns/mlflow.db").exists()
    assert registry.champion() is None
    assert {path.name for path in Path("mlruns").iterdir()} == {".mlflow.db.lock", "mlflow.db"}


def test_a_store_that_mlflow_must_upgrade_stays_unchanged(registry, log):
    log()
    with sqlite3.connect("mlruns/mlflow.db") as database:
        # The tables of this MLflow under the revision of an older one.
        database.execute("update alembic_version set version_num = 'cc1f77228345'")
    code = (
        "from tagger.registry import Registry; from tagger.errors import TaggerError\n"
        "try: Registry().champion()\n"
        "except TaggerError as error: print(error)"
    )
    # In a process of its own: this one knows the store already.
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "another version of MLflow" in output
    assert "mlflow db upgrade sqlite:///" in output
    assert output.count("\n") == 1
    with sqlite3.connect("mlruns/mlflow.db") as database:
        found = database.execute("select version_num from alembic_version").fetchall()
        assert found == [("cc1f77228345",)]
        assert database.execute("select count(*) from model_versions").fetchone() == (1,)


def test_a_read_only_store_can_be_read_and_is_reported_before_training(registry, log, tmp_path):
    version = log()
    read_only = Registry(f"sqlite:///file:{tmp_path}/mlruns/mlflow.db?mode=ro&uri=true")
    assert read_only.champion() == version
    assert read_only.load(version).name == version.name
    with pytest.raises(TaggerError, match="read-only"):
        check_writable(read_only)


def test_a_server_that_does_not_answer_is_reported(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TaggerError, match="MLFLOW_TRACKING_URI") as caught:
        Registry().champion()
    assert "\n" not in str(caught.value)


def start_to_log(label_folder, saved_model, seed, code=LOG, **environment):
    """Log a version in a separate process."""
    return subprocess.Popen(
        [sys.executable, "-c", code, str(label_folder), str(saved_model), str(seed)],
        env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_trainings_end_at_once_in_a_new_store(registry, label_folder, saved_model):
    shutil.rmtree("mlruns")
    both = [start_to_log(label_folder, saved_model, seed) for seed in range(2)]
    output = [process.communicate() for process in both]
    assert sorted(out.strip() for out, _ in output) == ["tagger/1", "tagger/2"], output
    versions = registry.versions()
    assert [version.aliases for version in versions] == [("champion",), ("challenger",)]
    for version in versions:
        assert registry.load(version).name == version.name


def test_a_kill_at_any_moment_leaves_no_half_version(registry, log, label_folder, saved_model):
    """Killed where a version appears in the database, before and after its alias."""
    first = log()
    code = (
        "import os; from mlflow import MlflowClient as C; kill = lambda *a, **k: os._exit(9); "
        "setattr(C, os.environ['KILL'], kill); " + LOG
    )
    for moment in ("create_model_version", "set_registered_model_alias", "log_artifact"):
        killed = start_to_log(label_folder, saved_model, 1, code, KILL=moment)
        _, output = killed.communicate()
        assert killed.returncode == 9, output
        assert registry.champion() == first
        assert registry.challenger() is None
        for version in registry.versions():
            assert registry.load(version).name == version.name
    with sqlite3.connect("mlruns/mlflow.db") as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    again = log(seed=1)
    assert registry.challenger() == again
