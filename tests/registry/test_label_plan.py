from dataclasses import replace

import numpy as np
import pytest
from helpers.samples import add_audit, small_taxonomy

from tagger.errors import TaggerError
from tagger.evaluation import LearningPoint
from tagger.registry import compare_runs, label_plan, plan_labels
from tagger.training import TrainingSettings, learning_exponent


def test_a_plan_is_computed_once_and_kept_with_the_run(registry, log, monkeypatch):
    asked = []

    def measure_learning_curve(data, settings, out_of_fold, progress, cache):
        asked.append((len(data.labels), data.taxonomy, settings.folds))
        half = {n: replace(part, y_true=part.y_true[::-1]) for n, part in out_of_fold.items()}
        return LearningPoint(12, half), LearningPoint(24, dict(out_of_fold))

    version = log(right=0.7)
    monkeypatch.setattr(label_plan, "measure_learning_curve", lambda *_: ())
    with pytest.raises(TaggerError, match="trained on too few labels for a learning curve"):
        plan_labels(registry, version, 20)
    with monkeypatch.context() as patch:
        settings = TrainingSettings(recipe="from-setfit")
        patch.setattr(label_plan, "settings_of", lambda *_: settings)
        with pytest.raises(TaggerError, match="head of a SetFit checkpoint"):
            plan_labels(registry, version, 20)
    monkeypatch.setattr(label_plan, "measure_learning_curve", measure_learning_curve)
    few = [plan.gain for plan in plan_labels(registry, version, 20)[0] if plan.labels < 5]
    assert few == [None] * len(few) != []
    monkeypatch.setattr("tagger.training.learning_curve._FEWEST_LABELS", 4)
    plans, measured = plan_labels(registry, version, 20)
    assert all(one.measured_on.startswith("12 seed labels (few") for one in measured.values())
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


def test_a_facet_without_a_learning_curve_does_not_keep_the_others_from_a_plan(
    registry, log, monkeypatch
):
    version = log(right=0.7)
    points = [LearningPoint(n, registry.held_out(version)) for n in (12, 24)]
    monkeypatch.setattr(label_plan, "measure_learning_curve", lambda *_: points)
    monkeypatch.setattr("tagger.training.learning_curve._FEWEST_LABELS", 4)
    curve = label_plan.learning_exponent
    monkeypatch.setattr(
        label_plan,
        "learning_exponent",
        lambda points, facet: facet != "kind" and curve(points, facet),
    )
    for _ in range(2):
        plans, _measured = plan_labels(registry, version, 20)
        assert {plan.facet for plan in plans if plan.expected_f1 is not None} == {"field"}
        assert {plan.facet for plan in plans} == {"kind", "field"}


def test_few_reviewed_papers_without_seed_labels_have_a_plan_and_stand_side_by_side(
    registry, log, label_folder, monkeypatch
):
    add_audit(label_folder, 20)
    (label_folder / "seed.jsonl").unlink()
    versions = log(right=0.7), log(right=0.8)
    points = [LearningPoint(n, registry.held_out(versions[0])) for n in (10, 20)]
    monkeypatch.setattr(label_plan, "measure_learning_curve", lambda *_: points)
    plans, measured = plan_labels(registry, versions[0], 20)
    few = "20 papers of the audit sample (few: trust the intervals, not the figures)"
    assert len(plans) == 6
    assert {one.measured_on for one in measured.values()} == {few}
    for run in compare_runs(registry, versions):
        assert {*run.measured_on.values()} == {few}


def test_a_plan_is_of_reviewed_papers_where_there_are_enough(
    registry, log, label_folder, monkeypatch
):
    add_audit(label_folder, 40)
    version = log(right=0.7)
    points = []

    def measure_learning_curve(data, settings, out_of_fold, progress, cache):
        # On seed labels the first point is better, on reviewed papers it is worse.
        half = {}
        for name, part in out_of_fold.items():
            reviewed = part.samples == "audit"
            right = np.where(reviewed[:, None], ~part.y_true, part.y_true)
            half[name] = replace(part, probabilities=right * 0.6 + 0.2)
        points.extend([LearningPoint(26, half), LearningPoint(52, dict(out_of_fold))])
        return tuple(points)

    monkeypatch.setattr(label_plan, "measure_learning_curve", measure_learning_curve)
    plans, measured = plan_labels(registry, version, 20)
    assert measured["kind"].measured_on == "40 papers of the audit sample"
    [method] = [plan for plan in plans if plan.tag == "method"]
    assert method.labels == 44
    assert method.f1 == measured["kind"].figures["f1/method"].value
    assert learning_exponent(points, "kind").value > 0
    seeds = [
        replace(
            point,
            held_out={
                name: part.take(np.flatnonzero(part.samples == "seed"))
                for name, part in point.held_out.items()
            },
        )
        for point in points
    ]
    assert learning_exponent(seeds, "kind").value == 0
