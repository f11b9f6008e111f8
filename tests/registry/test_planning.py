from dataclasses import replace

import pytest

from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.registry.planning import plan_labels
from tagger.registry.training_run import log_training
from tagger.training import TrainingSettings


def test_a_plan_is_read_from_the_run(registry, log, monkeypatch):
    version = log(right=0.7)
    few = [plan for plan in plan_labels(registry, version, 20) if plan.labels < 5]
    assert few
    assert all(plan.gain is None for plan in few)
    monkeypatch.setattr("tagger.label_plan._FEWEST_LABELS", 4)
    metrics = registry.run(version).data.metrics
    plans = plan_labels(registry, version, 20)
    assert {(plan.facet, plan.tag) for plan in plans} == {
        ("kind", "survey"),
        ("kind", "method"),
        ("kind", "study"),
        ("field", "health"),
        ("field", "heart"),
        ("field", "law"),
    }
    told = [plan for plan in plans if plan.labels >= 4]
    untold = [plan for plan in plans if plan.labels < 4]
    assert plans == told + untold
    assert all(plan.gain is None for plan in untold)
    assert [plan.gain for plan in told] == sorted((plan.gain for plan in told), reverse=True)
    for plan in told:
        assert plan.f1 == metrics[f"tag_f1/{plan.facet}/{plan.tag}"]
        power = metrics[f"learning_exponent/{plan.facet}"]
        grown = (plan.labels + 20) / plan.labels
        assert plan.expected_f1 == pytest.approx(1 - (1 - plan.f1) * grown**-power)
        assert plan.interval[0] <= plan.expected_f1 <= plan.interval[1]
    assert any(plan.gain > 0 for plan in told)


def test_without_a_learning_curve_there_is_no_plan(registry, make_result, label_folder):
    store = LabelStore(label_folder)
    result = replace(make_result(), learning_curve=())
    version = log_training(registry, result, TrainingSettings(folds=2), store.snapshot())
    with pytest.raises(TaggerError, match="tagger/1 has no learning curve of 'kind'"):
        plan_labels(registry, version, 20)
