import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.samples import label_of

from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.registry import Registry, count_new_corrections, log_training, settings_of
from tagger.registry.predictions import training_data
from tagger.training import TrainingSettings


def test_an_earlier_version_was_fine_tuned_on_whole_texts(registry, log, monkeypatch):
    version = log()
    assert settings_of(registry, version).tuning_tokens == TrainingSettings().tuning_tokens
    run = registry.run(version)
    del run.data.params["tuning_tokens"]
    monkeypatch.setattr(Registry, "run", lambda *_: run)
    earlier = settings_of(registry, version)
    assert earlier.tuning_tokens == earlier.max_tokens > TrainingSettings().tuning_tokens


def test_an_earlier_version_without_a_rule_of_conflicts_has_its_labels(registry, log, monkeypatch):
    version = log()
    trained = training_data(registry, version).labels
    run = registry.run(version)
    del run.data.params["conflicts"]
    monkeypatch.setattr(Registry, "run", lambda *_: run)
    assert training_data(registry, version).labels == trained


def test_nothing_is_said_of_deprecations_while_a_run_is_logged(log, recwarn):
    """Whoever imports SetFit sees all of them."""
    log()
    assert not [one.message for one in recwarn if issubclass(one.category, DeprecationWarning)]


def test_a_run_holds_the_origin_and_the_figures_of_a_version(registry, log, label_folder):
    version = log(right=0.75)
    store = LabelStore(label_folder)
    settings = TrainingSettings(folds=2, seed=0)
    assert version.fingerprint == settings.fingerprint(store.taxonomy, store.labels())
    run = registry.run(version)
    expected = {
        "folds": "2",
        "seed": "0",
        "labels": "12",
        "labels_from_review": "0",
        "parent": "none",
        "conflicts": "latest",
        "taxonomy": store.taxonomy.version,
        "sha256_seed.jsonl": store.snapshot().hashes()["seed.jsonl"],
    }
    assert run.data.params | expected == run.data.params
    assert registry.run(log(seed=1)).data.params["parent"] == "tagger/1"
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["labels"]
    metrics = run.data.metrics
    # Nothing was reviewed: all figures are on seed labels.
    assert metrics["Seed/accuracy/kind"] == 0.75
    interval = [metrics[f"interval/Seed/accuracy/kind/{end}"] for end in ("low", "high")]
    assert interval[0] < 0.75 < interval[1]
    assert metrics["Seed/papers/kind"] == 12
    assert not [name for name in metrics if name.startswith("Reviewed/")]
    assert (metrics["expected_review_share"], metrics["training_seconds"]) == (1, 1.5)
    assert run.info.run_name == "tagger/1, 12 labels"
    # The training took 1.5 s; to log it took longer than no time.
    assert run.info.end_time - run.info.start_time > 1500
    card = run.data.tags["mlflow.note.content"]
    for text in (
        "| kind | 12 seed labels (few: trust the intervals, not the figures) | 0.7",
        "| heart | The heart. | 6 |",
        "not known on your",
    ):
        assert text in card
    with registry.store.reading() as client, registry.store.current():
        assert client.get_model_version("tagger", "1").description == card
        described = client.get_registered_model("tagger")
        table = client.load_table(run.info.experiment_id, "out_of_fold/kind.json", [version.run_id])
    assert described.tags["taxonomy"] == "small"
    assert "| tagger/1 **champion** |" in described.description
    assert "| tagger/2 **challenger** |" in described.description
    (folder,) = Path("mlruns").rglob(f"{version.run_id}/artifacts")
    for name in ("model_card.md", "labels/taxonomy.yaml", "labels/seed.jsonl"):
        assert (folder / name).is_file()
    for facet in ("kind", "field"):
        assert (folder / f"confusion_matrix/seed/{facet}.png").is_file()
        assert (folder / f"reliability/seed/{facet}.png").is_file()
    # Wrong answers come first.
    assert table["right"].tolist() == [False] * 3 + [True] * 9
    assert (table["label"] != table["prediction"]).tolist() == [True] * 3 + [False] * 9
    assert list(table.columns)[:4] == ["title", "label", "prediction", "right"]


def test_annotations_are_new_until_a_version_is_trained_on_them(registry, log, label_folder):
    store = LabelStore(label_folder)

    def answer(name, hour):
        origin = {"annotation": name, "updated": f"2026-01-01T0{hour}:00:00Z"}
        changes = {"source": "review", "origin": {**origin, "project": "1", "task": 1}}
        store.add_corrections(lambda _: [label_of(f"Paper {name}", **changes)])

    assert count_new_corrections(store) == 0
    answer("a", 1)
    answer("b", 1)
    answer("b", 2)
    assert count_new_corrections(store) == 2
    log()
    assert count_new_corrections(store) == 0
    answer("a", 3)
    answer("c", 3)
    assert count_new_corrections(store) == 2


def test_logging_leaves_the_environment_as_it_was(registry, log, monkeypatch):
    for before in (None, "sqlite:///mine.db"):
        if before:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", before)
        log()
        assert os.environ.get("MLFLOW_TRACKING_URI") == before


def test_the_git_commit_of_the_labels_is_logged(registry, log, label_folder):
    commit_tag = "mlflow.source.git.commit"

    def git(*arguments):
        who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
        command = ["git", *who, *arguments]
        return subprocess.check_output(command, cwd=label_folder, text=True).strip()

    assert registry.run(log()).data.tags[commit_tag] == "none"
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "Labels")
    commit = git("rev-parse", "HEAD")
    assert registry.run(log(seed=1)).data.tags[commit_tag] == commit
    with (label_folder / "seed.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n")
    assert registry.run(log(seed=2)).data.tags[commit_tag] == commit + "+changes"


def test_an_incomplete_upload_is_not_registered(
    registry, log, make_result, label_folder, monkeypatch, tmp_path
):
    import mlflow

    first = log()
    gone = replace(make_result(), folder=tmp_path / "gone")
    with pytest.raises(TaggerError):
        log_training(registry, gone, TrainingSettings(), LabelStore(label_folder).snapshot())
    upload = mlflow.pyfunc.log_model

    def half(**arguments):
        before = set((tmp_path / "mlruns").rglob("heads.safetensors"))
        logged = upload(**arguments)
        (lost,) = set((tmp_path / "mlruns").rglob("heads.safetensors")) - before
        lost.unlink()
        return logged

    monkeypatch.setattr(mlflow.pyfunc, "log_model", half)
    with pytest.raises(TaggerError, match=r"missing: heads\.safetensors"):
        log(seed=1)
    assert registry.versions() == [first]


@pytest.mark.parametrize(
    "broken", ["set_registered_model_alias", "create_model_version", "set_registered_model_tag"]
)
def test_no_champion_is_half_registered(registry, log, monkeypatch, broken):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def fail(*_args, **_kwargs):
        raise MlflowException("connection lost")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, broken, fail)
        with pytest.raises(TaggerError, match="connection lost"):
            log()
    assert registry.champion() is None
    # The same again finishes the work.
    again = log()
    assert registry.champion() == again
    assert registry.load(again).name == again.name
