import pytest

from tagger.errors import TaggerError
from tagger.registry.planning import exponent_metrics, plan_labels


def test_a_plan_is_read_from_the_run(registry, log):
    version = log(right=0.7)
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
    assert [plan.gain for plan in plans] == sorted((plan.gain for plan in plans), reverse=True)
    for plan in plans:
        assert plan.f1 == metrics[f"tag_f1/{plan.facet}/{plan.tag}"]
        power = metrics[f"learning_exponent/{plan.facet}"]
        grown = (plan.labels + 20) / max(plan.labels, 1)
        assert plan.expected_f1 == pytest.approx(1 - (1 - plan.f1) * grown**-power)
        assert plan.interval[0] <= plan.expected_f1 <= plan.interval[1]
    assert any(plan.gain > 0 for plan in plans)


def test_without_a_learning_curve_there_is_no_plan(registry, log, monkeypatch):
    assert exponent_metrics((), ()) == {}
    monkeypatch.setattr("tagger.registry.training_run.exponent_metrics", lambda *_: {})
    with pytest.raises(TaggerError, match="tagger/1 was trained without a learning curve"):
        plan_labels(registry, log(), 20)
