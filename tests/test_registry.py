import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.registry import Registry
from tagger.training import FacetData, TrainingResult, TrainingSettings

SETTINGS = TrainingSettings(folds=2)


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Registry()


@pytest.fixture
def result(tmp_path, model):
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "model.json").write_text("{}", encoding="utf-8")
    data = tuple(
        FacetData(facet, np.arange(4), np.eye(3, dtype=bool)[[0, 1, 2, 0]], np.full((4, 3), 1 / 3))
        for facet in model.taxonomy.facets
    )
    return TrainingResult(model, folder, data, {"kind/macro_f1": 0.5}, 1.5)


def log(registry, result, label_folder, alias="champion"):
    store = LabelStore(label_folder)
    return registry.log(result, SETTINGS, store, store.labels(), alias)


def test_a_new_store_has_no_champion(registry):
    assert registry.champion() is None
    with pytest.raises(TaggerError, match="there is no model 'champion'"):
        registry.find("champion")


def test_a_run_holds_all_that_a_version_was_made_from(registry, result, label_folder):
    version = log(registry, result, label_folder)
    assert (version.number, version.name) == (1, "tagger/1")
    assert registry.champion() == registry.find("1") == registry.find("tagger/1") == version
    assert version.fingerprint == SETTINGS.fingerprint(
        LabelStore(label_folder).taxonomy, LabelStore(label_folder).labels()
    )

    from mlflow import MlflowClient

    client = MlflowClient(registry.tracking_uri)
    run = client.get_run(version.run_id)
    assert run.data.params["folds"] == "2"
    assert run.data.metrics["kind/macro_f1"] == 0.5
    assert run.data.metrics["labels"] == 12
    assert run.data.metrics["kind/labels/survey"] == 4
    assert run.data.tags["sha256.seed.jsonl"] == LabelStore(label_folder).hashes()["seed.jsonl"]
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.name == "labels"
    artifacts = {
        item.path
        for folder in ("labels", "model", "confusion_matrix")
        for item in client.list_artifacts(version.run_id, folder)
    }
    assert artifacts == {
        "labels/taxonomy.yaml",
        "labels/seed.jsonl",
        "model/model.json",
        "confusion_matrix/kind.png",
        "confusion_matrix/field.png",
    }


@pytest.mark.parametrize("before", [None, "sqlite:///mine.db"])
def test_logging_leaves_the_environment_as_it_was(
    registry, result, label_folder, monkeypatch, before
):
    if before:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", before)
    log(registry, result, label_folder)
    assert os.environ.get("MLFLOW_TRACKING_URI") == before


def test_a_challenger_does_not_take_the_place_of_the_champion(registry, result, label_folder):
    first = log(registry, result, label_folder)
    second = log(registry, result, label_folder, "challenger")
    assert (first.number, second.number) == (1, 2)
    assert registry.champion() == first
    assert registry.find("challenger") == second
    assert log(registry, result, label_folder) == registry.champion()


def test_a_failed_log_leaves_no_version_behind(registry, result, label_folder):
    first = log(registry, result, label_folder)
    shutil.rmtree(result.folder)
    with pytest.raises(TaggerError, match="did not reach the artifact store"):
        log(registry, result, label_folder)
    assert registry.champion() == first
    with pytest.raises(TaggerError, match="there is no model '2'"):
        registry.find("2")


def test_a_model_whose_artifacts_are_gone_is_refused(registry, result, label_folder, tmp_path):
    version = log(registry, result, label_folder)
    shutil.rmtree(tmp_path / "mlruns" / "artifacts")
    with pytest.raises(TaggerError):
        registry.load(version)


def test_a_store_that_was_moved_writes_nothing_to_its_old_place(
    registry, result, label_folder, tmp_path, monkeypatch
):
    log(registry, result, label_folder)
    (tmp_path / "new").mkdir()
    shutil.copytree(tmp_path / "mlruns", tmp_path / "new" / "mlruns")
    monkeypatch.chdir(tmp_path / "new")
    files = sorted((tmp_path / "mlruns").rglob("*"))
    with pytest.raises(TaggerError, match="this store was made elsewhere"):
        log(Registry(), result, label_folder)
    assert sorted((tmp_path / "mlruns").rglob("*")) == files
    assert Registry().find("1").number == 1


def test_a_damaged_store_is_told_in_one_line_and_left_alone(registry):
    store = Path("mlruns/mlflow.db")
    store.parent.mkdir()
    store.write_bytes(b"not a database" * 100)
    with pytest.raises(TaggerError, match="MLflow store cannot be used") as caught:
        registry.champion()
    assert "\n" not in str(caught.value)
    assert store.read_bytes() == b"not a database" * 100


def test_another_store_is_taken_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere.db")
    assert Registry().champion() is None
    assert (tmp_path / "elsewhere.db").exists()
