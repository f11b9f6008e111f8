import json
import re
import shutil
from contextlib import chdir, contextmanager
from datetime import datetime
from unittest.mock import Mock

import pytest
from helpers.samples import add_audit, write_labels
from helpers.tiny_training import log_tiny

from tagger.errors import TaggerError
from tagger.evaluation import GateRules
from tagger.registry import (
    Registry,
    compare_versions,
    log_comparison,
    promote,
    roll_back,
    version_history,
)
from tagger.registry.promotion import PROMOTION
from tagger.report.figures import read_figures

RULES = GateRules()


@pytest.fixture(autouse=True)
def audited(label_folder):
    """An audit sample large enough for the gate."""
    add_audit(label_folder, 36)


@pytest.fixture(scope="module")
def three_versions(tmp_path_factory, empty_database, taxonomy, saved_model):
    """A store with three equal versions, not to be changed: to log one takes a second."""
    root = tmp_path_factory.mktemp("three")
    labels = add_audit(write_labels(root / "labels", taxonomy), 36)
    (root / "mlruns").mkdir()
    shutil.copy(empty_database, root / "mlruns")
    with chdir(root):
        for seed in range(3):
            log_tiny(Registry(), labels, saved_model, seed=seed)
    return root / "mlruns"


@pytest.fixture
def three(registry, three_versions):
    """A registry with three equal versions, of which the first is the champion."""
    shutil.copytree(three_versions, "mlruns", dirs_exist_ok=True)
    return Registry()


def champions(registry):
    return [v.number for v in registry.versions() if "champion" in v.aliases]


def test_a_better_version_passes_and_a_worse_one_does_not(registry, log):
    log(right=0.25)
    better = log(right=1.0)
    done = promote(registry, better, RULES)
    assert (done.promoted, done.replaced.name, len(done.outcomes)) == (True, "tagger/1", 8)
    assert champions(registry) == [2]
    assert registry.challenger() is None
    done = promote(registry, registry.champion(), RULES)
    assert (done.promoted, done.replaced, done.outcomes) == (True, None, ())
    worse = log(right=0.25, seed=1)
    refused = promote(registry, worse, RULES)
    assert not refused.promoted
    failed = {outcome.rule.split()[0] for outcome in refused.outcomes if not outcome.passed}
    assert {"less", "no"} <= failed
    assert champions(registry) == [2]
    assert registry.challenger() == worse
    assert PROMOTION not in registry.find("3").tags


def test_force_records_its_reason(registry, log):
    log(right=1.0)
    worse = log(right=0.25, seed=1)
    assert promote(registry, worse, RULES, force="new codebook").promoted
    record = json.loads(registry.find("2").tags[PROMOTION])
    assert (record["forced"], record["replaced"]) == ("new codebook", "tagger/1")
    assert not all(rule["passed"] for rule in record["rules"])
    assert version_history(registry)[1].why.startswith("forced past ")
    assert version_history(registry)[1].why.endswith(" of 8 rules: new codebook")


def test_rollback_undoes_promotions_one_by_one(three):
    registry = three
    for number in "123":
        assert promote(registry, registry.find(number), RULES).promoted
    given_up, champion = roll_back(registry, "too slow")
    assert (given_up.name, champion.name) == ("tagger/3", "tagger/2")
    assert champions(registry) == [2]
    assert version_history(registry)[2].why == (
        "passed the gate against tagger/2; rolled back to tagger/2: too slow"
    )
    assert roll_back(registry)[1].name == "tagger/1"
    with pytest.raises(TaggerError, match="no previous champion"):
        roll_back(registry)
    assert champions(registry) == [1]
    # A version that was rolled back can be promoted again, and rolled back again.
    assert promote(registry, registry.find("3"), RULES).promoted
    assert version_history(registry)[2].why == "passed the gate against tagger/1"
    assert roll_back(registry)[1].name == "tagger/1"


def test_pages_show_readable_tags_and_hidden_ones_of_earlier_versions_are_read(
    registry, log, monkeypatch
):
    monkeypatch.setattr("tagger.registry.history._DESCRIBED", 1)
    for seed in range(2):
        promote(registry, log(seed=seed), RULES)
    log_comparison(registry, compare_versions(registry, *registry.versions()), registry.find("2"))
    roll_back(registry, "too slow")
    promote(registry, registry.find("2"), RULES)
    history, fingerprint = version_history(registry), registry.find("2").fingerprint
    with registry.store.writing() as client:
        found = client.get_registered_model(registry.model)
        shown = [{*client.get_model_version(found.name, number).tags} for number in "12"]
        assert shown == [{"labels", "taxonomy"}, {"labels", "taxonomy", "against tagger/1"}]
        assert "| tagger/2 **champion** |" in found.description
        assert "Older versions, in `tagger history`: 1" in found.description
        # The page of the model shows no tag that begins so.
        assert {key for key in found.tags if not key.startswith("mlflow.")} == {"taxonomy"}
        for version in registry.versions():
            for key in found.tags:
                if (former := key.removeprefix(f"mlflow.{version.run_id}.")) != key:
                    client.delete_registered_model_tag(found.name, key)
                    number, value = str(version.number), found.tags[key]
                    client.set_model_version_tag(found.name, number, former, value)
        for key in ("tagger.champions", "tagger.giving_up"):
            client.delete_registered_model_tag(found.name, f"mlflow.{key}")
            client.set_registered_model_tag(found.name, key, found.tags[f"mlflow.{key}"])
    assert version_history(registry) == history
    assert registry.find("2").fingerprint == fingerprint != ""
    assert roll_back(registry, "slow again")[1].name == "tagger/1"
    assert version_history(registry)[1].why.endswith("rolled back to tagger/1: slow again")
    with pytest.raises(TaggerError, match="no previous champion"):
        roll_back(registry)


@pytest.fixture
def breaking(monkeypatch):
    """Break the connection at a call of the client: a method, or one of its arguments."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def patched(whole, what):
        def call(self, model, key, *values):
            if what in (key, *values, whole.__name__):
                raise MlflowException("connection lost")
            return whole(self, model, key, *values)

        return call

    @contextmanager
    def breaking_at(what):
        with monkeypatch.context() as patch:
            for name in dir(MlflowClient):
                if re.fullmatch("(set|delete)_(model_version|registered_model)_(tag|alias)", name):
                    patch.setattr(MlflowClient, name, patched(getattr(MlflowClient, name), what))
            yield

    return breaking_at


@pytest.mark.parametrize(
    "broken",
    [
        "set_registered_model_tag",
        "mlflow.tagger.champions",
        "set_registered_model_alias",
        "delete_registered_model_alias",
    ],
)
def test_a_broken_promotion_leaves_one_champion_and_is_finished_by_the_next(
    three, breaking, broken
):
    with breaking(broken), pytest.raises(TaggerError, match="connection lost"):
        promote(three, three.challenger(), RULES)
    assert len(champions(three)) == 1
    assert promote(three, three.find("challenger"), RULES).promoted
    assert champions(three) == [3]
    assert three.challenger() is None
    assert roll_back(three)[1].name == "tagger/1"


@pytest.mark.parametrize(
    ("broken", "left"),
    [
        ("mlflow.tagger.giving_up", 3),
        ("champion", 3),
        ("mlflow.tagger.champions", 2),
        ("[]", 2),
    ],
)
def test_a_broken_rollback_leaves_one_champion_and_is_finished_by_the_next(
    three, breaking, broken, left
):
    registry = three
    for number in "123":
        promote(registry, registry.find(number), RULES)
    with breaking(broken), pytest.raises(TaggerError, match="connection lost"):
        roll_back(registry)
    assert champions(registry) == [left]
    # The next rollback only finishes the broken one.
    given_up, champion = roll_back(registry)
    assert (given_up.number, champion.number) == (3, 2)
    assert champions(registry) == [2]
    assert roll_back(registry)[1].number == 1


def test_a_promotion_ends_a_rollback_that_was_broken_off(three, breaking):
    for number in "123":
        promote(three, three.find(number), RULES)
    with breaking("mlflow.tagger.champions"), pytest.raises(TaggerError, match="connection lost"):
        roll_back(three)
    for number in "32":
        promote(three, three.find(number), RULES, force="tried again")
    assert roll_back(three)[1].number == 3
    assert champions(three) == [3]


def test_a_rollback_passes_over_versions_that_were_deleted(three):
    for number in "123":
        promote(three, three.find(number), RULES)
    with three.store.writing() as client:
        client.delete_model_version(three.model, "2")
    assert roll_back(three)[1].number == 1


def test_why_a_version_is_champion_does_not_depend_on_the_clock(registry, log, monkeypatch):
    from tagger.registry import promotion

    years = iter(range(2040, 2000, -1))
    backwards = Mock(now=lambda zone: datetime(next(years), 1, 1, tzinfo=zone))
    monkeypatch.setattr(promotion, "datetime", backwards)
    for seed in range(2):
        promote(registry, log(seed=seed), RULES)
    roll_back(registry, "too slow")
    assert version_history(registry)[1].why.endswith("rolled back to tagger/1: too slow")
    promote(registry, registry.find("2"), RULES)
    assert version_history(registry)[1].why == "passed the gate against tagger/1"


def test_a_promotion_stops_if_the_champion_has_changed(three, monkeypatch):
    from tagger.registry import promotion

    registry, compare = three, promotion.compare_versions

    def slow(*arguments):
        found = compare(*arguments)
        registry.set_alias("champion", registry.find("2"))
        return found

    monkeypatch.setattr(promotion, "compare_versions", slow)
    with pytest.raises(TaggerError, match="tagger/2 became champion"):
        promote(registry, registry.find("3"), RULES)
    assert champions(registry) == [2]


def test_history_shows_the_origin_of_each_version(registry, log):
    version = log(right=0.5)
    log(right=1.0)
    first, second = version_history(registry)
    assert (first.name, first.aliases) == ("tagger/1", ("champion",))
    assert (first.why, second.why) == ("there was no champion", "")
    assert (second.parent, second.labels, second.labels_from_review) == ("tagger/1", 48, 36)
    assert {name: figure.value for name, figure in second.seed.items()} == {"field": 1, "kind": 1}
    assert (second.reviewed["kind"].value, second.reviewed_papers) == (1, 36)
    # The figures of the report are those that were logged.
    found = read_figures(registry, version)
    assert (found.version, found.versions) == (first, (first, second))
    assert [facet.facet for facet in found.facets] == ["kind", "field"] * 2
    assert [facet.reviewed for facet in found.facets] == [True, True, False, False]
    for facet in found.facets:
        logged = first.reviewed if facet.reviewed else first.seed
        assert facet.figures["macro_f1"].value == pytest.approx(logged[facet.facet].value)
    assert (found.names, found.unknown) == (["kind", "field"], [])
    for spoiled in ("spoiled", "{}", '{"time": 1}', '{"time": "now", "rules": [{}]}'):
        registry.note(registry.find("1"), PROMOTION, spoiled)
        assert version_history(registry)[0].why == ""
    with registry.store.reading() as client:
        # Other programs can log to the run, too.
        for name in ("labels", "Reviewed/papers/kind", "expected_review_share"):
            client.log_metric(first.run_id, name, float("nan"))
        client.delete_run(first.run_id)
    found = version_history(registry)
    assert [version.name for version in found] == ["tagger/1", "tagger/2"]
    assert (found[0].labels, found[0].reviewed_papers, found[0].review_share) == (48, 36, None)
