"""Faults of the store, each with a line of its own; what can go on goes on."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from helpers.samples import add_audit

from tagger.errors import TaggerError
from tagger.evaluation import GateRules
from tagger.registry import (
    DeletedRunError,
    Registry,
    check_writable,
    compare_versions,
    evaluate_models,
    find_model_folder,
    learning_exponents,
    load_model_by_name,
    measure_churn_and_speed,
    promote,
    roll_back,
    settings_of,
    version_history,
)


def delete_for_good(registry, version):
    """Delete a run as ``mlflow gc`` does."""
    with registry.store.reading() as client:
        client.delete_run(version.run_id)
        client._tracking_client.store._hard_delete_run(version.run_id)


@pytest.fixture
def audited(label_folder):
    """An audit sample that came after all versions."""
    return lambda: add_audit(label_folder, 40)


def test_a_champion_without_its_run_tags_is_compared_and_is_followed(
    registry, log, audited, caplog
):
    champion = log()
    delete_for_good(registry, champion)
    assert load_model_by_name("champion").name == "tagger/1"
    with pytest.raises(DeletedRunError, match="the run of tagger/1 was deleted"):
        settings_of(registry, champion)
    assert learning_exponents(registry, champion) == {}
    assert registry.known_folds(2) == {}
    assert "the folds of tagger/1 are not kept: the run of tagger/1 was deleted" in caplog.text
    challenger = log()
    labels = audited()
    found = compare_versions(registry, champion, challenger, labels)
    assert {(part.sample, part.papers) for part in found.main.values()} == {("audit", 40)}
    found = measure_churn_and_speed(registry, found, champion, challenger, [])
    assert found.speed.after > 0
    models = evaluate_models(registry, ["champion", "challenger"], labels).models
    assert models[0].facets[0].measured.papers == 40
    assert promote(registry, challenger, GateRules(), labels=labels).promoted
    assert roll_back(registry)[1].name == "tagger/1"
    assert [one.labels for one in version_history(registry)] == [0, 12]


def test_a_challenger_without_its_run_is_compared_and_promoted(
    registry, log, audited, label_folder
):
    champion, challenger = log(right=0.25), log()
    delete_for_good(registry, challenger)
    with pytest.raises(DeletedRunError, match="the run of tagger/2 was deleted"):
        compare_versions(registry, champion, challenger)
    labels = audited()
    found = compare_versions(registry, champion, challenger, labels)
    assert {(part.sample, part.papers) for part in found.main.values()} == {("audit", 40)}
    assert promote(registry, registry.find("challenger"), GateRules(), labels=labels).promoted
    # A rollback never goes to a model that cannot be loaded.
    shutil.rmtree(find_model_folder("1", Path()).folder)
    for call in (
        lambda: roll_back(registry),
        lambda: promote(registry, champion, GateRules(), force="it was better"),
    ):
        with pytest.raises(TaggerError, match="the model of tagger/1 cannot be read"):
            call()
    assert registry.champion().number == 2


def test_an_unknown_name_gives_the_versions_that_there_are(registry, log):
    with pytest.raises(TaggerError, match="'tagger train' makes the first version"):
        registry.find("champion")
    log()
    with pytest.raises(TaggerError, match=r"^found no challenger in \S+\. There is tagger/1"):
        registry.find("challenger")
    log()
    with pytest.raises(TaggerError, match=r"are tagger/1 \(champion\), tagger/2 \(challenger\)$"):
        registry.find("7")
    with pytest.raises(TaggerError, match=r"previous champion.*There are tagger/1 \(champion\)"):
        roll_back(registry)
    with pytest.raises(TaggerError, match="Perhaps you meant 'challenger'"):
        registry.find("chalenger")
    with registry.store.writing() as client:
        client.delete_registered_model_alias(registry.model, "champion")
    # The model that ships does not take its place.
    with pytest.raises(TaggerError, match=r"^no version is the champion.*promote VERSION"):
        load_model_by_name("champion")


def test_a_locked_database_is_told(registry):
    error = registry.store.unusable(sqlite3.OperationalError("database is locked"))
    assert "another program is writing to it" in str(error)


@pytest.mark.parametrize("copied", [True, False])
def test_a_store_works_where_it_stands(registry, log, tmp_path, monkeypatch, copied, caplog):
    version = log()
    load_model_by_name("champion")
    expected = registry.held_out(version)["kind"].probabilities
    old, new = tmp_path / "mlruns", tmp_path / "a new place" / "mlruns"
    new.parent.mkdir()
    caplog.set_level("INFO")
    if copied:
        shutil.copytree(old, new)
        before = {path: path.stat().st_mtime_ns for path in old.rglob("*")}
    else:
        shutil.move(old, new)
    monkeypatch.chdir(new.parent)
    # Also from the cache of names.
    for _ in range(2):
        assert new in find_model_folder("champion", Path()).folder.parents
    again = Registry()
    assert (again.held_out(version)["kind"].probabilities == expected).all()
    assert f"moved or copied here from {old.as_uri()}" in caplog.text
    later = log(registry=again) if copied else None
    if copied:
        check_writable(again)
        assert new in find_model_folder("2", Path()).folder.parents
        assert {path: path.stat().st_mtime_ns for path in old.rglob("*")} == before
        assert later.number == 2
    assert again.load(version).name == "tagger/1"


def test_a_database_that_was_moved_alone_is_told(registry, log, tmp_path, monkeypatch):
    log()
    (tmp_path / "new" / "mlruns").mkdir(parents=True)
    shutil.copy(tmp_path / "mlruns" / "mlflow.db", tmp_path / "new" / "mlruns")
    monkeypatch.chdir(tmp_path / "new")
    with pytest.raises(TaggerError, match="was moved without its files, which were in file:"):
        Registry().champion()


def test_reviews_on_one_server_have_versions_of_their_own(registry, log, monkeypatch, tmp_path):
    from tagger.registry.version_training import check_taxonomy

    log()
    server = Registry(f"sqlite:///file:{tmp_path}/mlruns/mlflow.db?uri=true")
    check_taxonomy(server, "small")
    with pytest.raises(TaggerError, match="'small', these labels to 'law'"):
        check_taxonomy(server, "law")
    monkeypatch.setenv("TAGGER_MODEL", "law")
    other = Registry()
    assert other.champion() is None
    check_taxonomy(other, "law")
    assert log(registry=other).aliases == ("champion",)
    assert other.versions() != registry.versions()
