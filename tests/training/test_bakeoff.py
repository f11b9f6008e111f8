from dataclasses import replace

import pytest
from helpers.samples import ran, run
from helpers.tiny_encoder import save_tiny_encoder

from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.registry import Registry
from tagger.training import TrainingSettings, bake_off

FROZEN = TrainingSettings(recipe="frozen", epochs=0, folds=2, max_tokens=32)


@pytest.mark.parametrize(
    ("candidates", "problem"),
    [
        ([{}], "two different candidates"),
        ([{}, {}], "two different candidates"),
        ([{}, {"encoder": "./nowhere"}], r"'\./nowhere' cannot be loaded"),
        ([{}, {"epochs": 2}], "does not fine-tune"),
    ],
)
def test_a_wrong_candidate_is_found_out_first(label_folder, candidates, problem):
    store = LabelStore(label_folder)
    settings = [replace(FROZEN, **each) for each in candidates]
    with pytest.raises(TaggerError, match=problem):
        bake_off(store.labels(), store.taxonomy, settings, lambda *_: pytest.fail("early"))


def test_a_setfit_checkpoint_is_a_candidate_if_its_pickle_is_trusted(label_folder):
    root = label_folder.parent
    (root / "checkpoint").mkdir()
    for name in ("config_setfit.json", "model_head.pkl"):
        (root / "checkpoint" / name).write_text("{}", encoding="utf-8")
    recipes = ("--recipe", "from-setfit", "--recipe", "frozen", "--encoder", "checkpoint")
    assert "add --trust-pickle" in run("bakeoff", *recipes, cwd=root, code=2).stderr
    read = run("bakeoff", *recipes, "--trust-pickle", cwd=root, code=2)
    assert "loading a pickle" in read.stderr


@pytest.mark.mlflow
@pytest.mark.training
def test_candidates_are_runs_below_one_that_compare_sets_side_by_side(label_folder, monkeypatch):
    root = label_folder.parent
    options = ("--folds", 2, "--max-tokens", 32, "--encoder", save_tiny_encoder(root / "tiny"))
    report = ran("bakeoff", "--recipe", "tfidf", "--recipe", "zero-shot", *options, cwd=root)
    assert report["labels"] == 12
    names = [each["name"].split(",")[0] for each in report["candidates"]]
    assert names == ["tfidf", "zero-shot"]
    monkeypatch.chdir(root)
    registry = Registry()
    assert registry.versions() == []
    parent = registry.run(registry.find_run(report["run"]))
    assert parent.info.status == "FINISHED"
    for found in report["candidates"]:
        child = registry.run(registry.find_run(found["run"]))
        assert child.data.tags["mlflow.parentRunId"] == report["run"]
        assert child.data.params["recipe"] == found["name"].split(",")[0]
        logged = child.data.metrics
        assert logged["Seed/F1/kind"] == pytest.approx(found["figures"]["kind"]["macro_f1"])
        assert {name: logged[name] for name in found["cost"]} == found["cost"]
        for facet in (found["against_first"] or {"facets": []})["facets"]:
            assert (facet["papers"], facet["unseen"]) == (12, 0)
    compared = run("compare", *(each["run"] for each in report["candidates"]), cwd=root, code=0)
    assert all(name in compared.stdout for name in (*names, "MB"))
    refused = run("compare", report["run"], report["candidates"][0]["run"], cwd=root, code=2)
    assert "out-of-fold" in refused.stderr
    unknown = run("compare", "0" * 32, report["run"], cwd=root)
    assert "found no model" in unknown.stderr
