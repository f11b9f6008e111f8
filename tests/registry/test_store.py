"""Errors of a store, and that they lose nothing."""

import os
import shutil
import sqlite3
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import Mock

import pytest
from helpers.tiny_training import log_tiny

from tagger.errors import TaggerError
from tagger.registry import Registry, check_writable, version_history
from tagger.registry.store import Store

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["mlflow.pyfunc", "tagger.registry.training_run", "test_store"])
"""Processes of their own that need not load MLflow, which takes longer than what they do."""


def log_in_a_fork(label_folder, saved_model, seed, kill=None):
    """Start to log a version in a process of its own, which may be killed at a call of the client.

    Its exit code is 9 if it was, and else the number of the version.
    """
    arguments = (label_folder, saved_model, seed, kill)
    process = FORKS.Process(target=_log_and_exit, args=arguments)
    process.start()
    return process


def _log_and_exit(label_folder, saved_model, seed, kill):
    from mlflow import MlflowClient

    if kill:
        setattr(MlflowClient, kill, lambda *_, **__: os._exit(9))
    os._exit(log_tiny(Registry(), label_folder, saved_model, 1.0, seed).number)


def _exit_if_refused(number):
    try:
        Registry().champion()
    except TaggerError as error:
        said = str(error)
        right = "another version of MLflow" in said and "mlflow db upgrade sqlite:///" in said
        os._exit(number if right and "\n" not in said else 1)


def test_a_damaged_store_is_one_line_of_error_and_stays_unchanged(registry):
    store = Path("mlruns/mlflow.db")
    store.write_bytes(b"not a database" * 100)
    with pytest.raises(TaggerError, match="MLflow store cannot be used") as caught:
        registry.champion()
    assert "\n" not in str(caught.value)
    assert store.read_bytes() == b"not a database" * 100


def test_looking_for_versions_makes_no_store(registry):
    shutil.rmtree("mlruns")
    assert registry.versions() == version_history(registry) == []
    assert registry.champion() is registry.challenger() is registry.taxonomy_name() is None
    assert not Path("mlruns").exists()


def test_a_kill_while_tables_are_created_leaves_no_database(registry, monkeypatch):
    from mlflow.store.db import utils

    shutil.rmtree("mlruns")
    with monkeypatch.context() as patch:
        patch.setattr(utils, "_upgrade_db", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            check_writable(registry)
    assert not Path("mlruns/mlflow.db").exists()
    check_writable(registry)
    assert {path.name for path in Path("mlruns").iterdir()} == {".mlflow.db.lock", "mlflow.db"}


def test_a_store_that_mlflow_must_upgrade_stays_unchanged(registry, log):
    log()
    with sqlite3.connect("mlruns/mlflow.db") as database:
        # The tables of this MLflow under the revision of an older one.
        database.execute("update alembic_version set version_num = 'cc1f77228345'")
    # In a process of its own: this one knows the store already.
    other = FORKS.Process(target=_exit_if_refused, args=(7,))
    other.start()
    other.join()
    assert other.exitcode == 7
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


@pytest.mark.parametrize(
    ("uri", "keyword"),
    [
        ("mlruns", "sqlite:///"),
        ("127.0.0.1:5000", "http://"),
        ("mssql://user:secret@host/db", "Install the Python package"),
    ],
)
def test_an_address_that_mlflow_cannot_use_is_told(monkeypatch, uri, keyword):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(TaggerError) as caught:
        Registry().champion()
    assert keyword in caught.value.hint
    assert "secret" not in str(caught.value)


def test_files_that_cannot_be_written_are_not_taken_for_a_full_disk():
    error = PermissionError(13, "Permission denied", "page.html")
    assert "it is read-only" in Store().unusable(error).problem


@pytest.mark.parametrize(("status", "hint"), [(401, "credentials are"), (403, "permission")])
def test_a_missing_permission_is_not_taken_for_a_wrong_password(status, hint):
    from mlflow.exceptions import MlflowException, get_error_code

    code = get_error_code(status)
    error = MlflowException(f"failed with error code {status} != 200", code)
    assert hint in Store("http://server").unusable(error).hint


def test_a_registry_of_other_programs_is_neither_used_nor_changed(registry, log, monkeypatch):
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:///other.db")
    version = log()
    assert registry.load(version).name == version.name
    assert os.environ["MLFLOW_REGISTRY_URI"] == "sqlite:///other.db"
    assert not Path("other.db").exists()


def test_a_training_says_before_it_begins_that_its_experiment_was_deleted(registry):
    check_writable(registry)
    with registry.store.reading() as client:
        experiment = client.get_experiment_by_name("tagger").experiment_id
        client.delete_experiment(experiment)
        with pytest.raises(TaggerError, match="'tagger' was deleted in MLflow") as caught:
            check_writable(registry)
        assert f"mlflow experiments restore --experiment-id {experiment}" in caught.value.hint
        client.restore_experiment(experiment)
    check_writable(registry)


def test_two_trainings_end_at_once_in_a_new_store(registry, label_folder, saved_model):
    shutil.rmtree("mlruns")
    both = [log_in_a_fork(label_folder, saved_model, seed) for seed in range(2)]
    for process in both:
        process.join()
    assert sorted(process.exitcode for process in both) == [1, 2]
    versions = registry.versions()
    assert [version.aliases for version in versions] == [("champion",), ("challenger",)]
    for version in versions:
        assert registry.load(version).name == version.name


def test_a_kill_at_any_moment_leaves_no_half_version(registry, log, label_folder, saved_model):
    """Killed where a version appears in the database, before and after its alias."""
    first = log()
    for moment in ("create_model_version", "set_registered_model_alias", "log_artifact"):
        killed = log_in_a_fork(label_folder, saved_model, 1, moment)
        killed.join()
        assert killed.exitcode == 9
        assert registry.champion() == first
        assert registry.challenger() is None
        for version in registry.versions():
            assert registry.load(version).name == version.name
    with sqlite3.connect("mlruns/mlflow.db") as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    again = log(seed=1)
    assert registry.challenger() == again
