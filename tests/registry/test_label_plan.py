from dataclasses import replace

import pytest
from helpers.samples import small_taxonomy

from tagger.errors import TaggerError
from tagger.evaluation import LearningPoint
from tagger.registry import label_plan, plan_labels


def test_a_plan_is_computed_once_and_kept_with_the_run(registry, log, monkeypatch):
    asked = []

    def measure_learning_curve(data, settings, out_of_fold, progress, cache):
        asked.append((len(data.labels), data.taxonomy, settings.folds))
        half = {n: replace(part, y_true=part.y_true[::-1]) for n, part in out_of_fold.items()}
        return LearningPoint(12, half), LearningPoint(24, dict(out_of_fold))

    version = log(right=0.7)
    monkeypatch.setattr(label_plan, "measure_learning_curve", lambda *_: ())
    with pytest.raises(TaggerError, match="too few labels of 'kind'"):
        plan_labels(registry, version, 20)
    monkeypatch.setattr(label_plan, "measure_learning_curve", measure_learning_curve)
    few = [plan.gain for plan in plan_labels(registry, version, 20) if plan.labels < 5]
    assert few == [None] * len(few) != []
    monkeypatch.setattr("tagger.training.learning_curve._FEWEST_LABELS", 4)
    plans = plan_labels(registry, version, 20)
    assert asked == [(12, small_taxonomy(), 2)]
    metrics = registry.run(version).data.metrics
    with registry.store.reading() as client:
        files = {item.path for item in client.list_artifacts(version.run_id)}
    assert "learning_curve.png" in files
    assert {(plan.facet, plan.tag) for plan in plans} == {
        (facet.name, tag) for facet in small_taxonomy().facets for tag in facet.tag_names
    }
    told = [plan for plan in plans if plan.labels >= 4]
    assert plans[: len(told)] == told
    gains = [plan.gain for plan in told]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 0
    for plan in told:
        assert plan.f1 == pytest.approx(metrics[f"Seed/tag_f1/{plan.facet}/{plan.tag}"], abs=1e-5)
        power = metrics[f"learning_exponent/{plan.facet}"]
        grown = (plan.labels + 20) / plan.labels
        assert plan.expected_f1 == pytest.approx(1 - (1 - plan.f1) * grown**-power)
        assert plan.interval[0] <= plan.expected_f1 <= plan.interval[1]
