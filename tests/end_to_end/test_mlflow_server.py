"""Versions on a real MLflow server with a registry, which also dies."""

import json

import pytest
from helpers.samples import page, run
from helpers.tiny_training import log_tiny

from tagger.evaluation import GateRules
from tagger.registry import Registry, compare_versions, log_comparison, promote, roll_back


@pytest.fixture
def registry(mlflow_server, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    return Registry()


def test_versions_live_on_a_server_and_nothing_here(
    registry, mlflow_server, label_folder, saved_model, tmp_path
):
    first = log_tiny(registry, label_folder, saved_model, right=0.5)
    second = log_tiny(registry, label_folder, saved_model, right=1.0)
    assert registry.champion() == first
    assert registry.load(second).name == second.name
    assert registry.folds_of(second)
    found = compare_versions(registry, first, second)
    assert found.verdict == "better"
    log_comparison(registry, found, second)
    assert promote(registry, second, GateRules(), force="seed labels alone cannot tell").promoted
    assert registry.champion().number == second.number
    assert roll_back(registry)[1].number == first.number
    (tmp_path / "page.txt").write_text(page(*map(str, range(6))), encoding="utf-8")
    done = run("tag", "page.txt", "--json", cwd=tmp_path, store=mlflow_server.url, code=0)
    assert json.loads(done.stdout)["model"] == first.name
    assert "did not record" not in done.stderr
    listed = run("history", "--json", store=mlflow_server.url)
    names = [version["name"] for version in json.loads(listed.stdout)["versions"]]
    assert names == [first.name, second.name]
    assert {path.name for path in tmp_path.iterdir()} == {"labels", "page.txt", "tagged"}
