from types import SimpleNamespace

import numpy as np
import pytest

from tagger.evaluation import evaluate
from tagger.model import Calibration, OutOfFold, calibrated_probabilities
from tagger.training.calibration import (
    PRIOR_THRESHOLD,
    CalibratedView,
    calibrate_view,
    cross_calibrate,
    fit_calibration,
    fit_threshold,
    out_of_fold_by_effort,
)


def draw(facet, scores, calibration):
    """Draw true tags by the probabilities of scores."""
    rng = np.random.default_rng(0)
    probabilities = calibrated_probabilities(facet, scores, calibration)
    if facet.exclusive:
        return np.eye(3, dtype=bool)[[rng.choice(3, p=row) for row in probabilities]]
    return rng.random(probabilities.shape) < probabilities


@pytest.mark.parametrize("lost", [Calibration(0.5), Calibration(3.0)])
def test_temperature_and_sigmoid_are_recovered(taxonomy, lost):
    scores = np.random.default_rng(0).normal(size=(2, 4000, 3))
    kind = taxonomy.facet("kind")
    field = kind.model_copy(update={"exclusive": False})
    found = fit_calibration(kind, draw(kind, scores, lost), scores)
    assert found.scale == pytest.approx(lost.scale, rel=0.1)
    assert found.shift == 0
    shifted = Calibration(lost.scale, -1.0)
    found = fit_calibration(field, draw(field, scores, shifted), scores)
    assert (found.scale, found.shift) == pytest.approx((lost.scale, -1.0), rel=0.15)


@pytest.mark.parametrize("name", ["kind", "field"])
def test_labels_that_say_little_give_no_certainty(taxonomy, name):
    facet = taxonomy.facet(name)
    nothing = np.zeros((0, 3), dtype=bool)
    unknown = Calibration(capped=facet.tag_names)
    assert fit_calibration(facet, nothing, np.zeros((2, 0, 3))) == unknown
    y_true = np.eye(3, dtype=bool)[[0, 1, 2, 0]]
    scores = np.stack([2.0 * y_true - 1, 0.5 * y_true])
    right = fit_calibration(facet, y_true, scores)
    assert np.isfinite([right.scale, right.shift]).all()
    wrong = fit_calibration(facet, y_true, -scores)
    assert right.scale > wrong.scale >= 0


def test_a_fold_is_calibrated_by_the_others(taxonomy):
    facet, folds = taxonomy.facet("kind"), np.arange(60) % 2
    scores = np.random.default_rng(0).normal(size=(2, 60, 3))
    y_true = draw(facet, scores, Calibration())
    found = cross_calibrate(facet, y_true, scores, folds)
    first, second = folds == 0, folds == 1
    by_others = fit_calibration(facet, y_true[second], scores[:, second])
    assert (found[first] == calibrated_probabilities(facet, scores[:, first], by_others)).all()
    # The labels of a fold do not count for it.
    y_true[first] = np.roll(y_true[first], 1, axis=1)
    assert (cross_calibrate(facet, y_true, scores, folds)[first] == found[first]).all()


def test_papers_that_nobody_judged_are_predicted_and_teach_nothing(taxonomy):
    folds, annotated = np.arange(60) % 2, np.arange(60) < 40
    scores = {f.name: np.random.default_rng(0).normal(size=(2, 60, 3)) for f in taxonomy.facets}
    y_true = {f.name: draw(f, scores[f.name], Calibration()) for f in taxonomy.facets}

    def calibrated():
        by_facet = dict.fromkeys(y_true, annotated)
        data = SimpleNamespace(taxonomy=taxonomy, y_true=y_true, annotated=by_facet)
        return calibrate_view(data, folds, scores, np.ones(60))

    before = calibrated()
    for values in y_true.values():
        values[40:] = False
    after = calibrated()
    assert after.calibrations == before.calibrations
    for facet in taxonomy.facets:
        found = after.out_of_fold.probabilities[facet.name]
        assert (found == before.out_of_fold.probabilities[facet.name]).all()
        expected = calibrated_probabilities(
            facet, scores[facet.name], after.calibrations[facet.name]
        )
        assert (found[40:] == expected[40:]).all()


def test_out_of_fold_predictions_of_an_effort_are_the_mean_of_its_views():
    def view(near, *kinds):
        return CalibratedView({}, OutOfFold(np.full(2, near), {"kind": np.array(kinds)}), {})

    views = {
        "title": view(0.1, [0.9, 0.1], [0.5, 0.5]),
        "excerpt": view(0.2, [0.6, 0.4], [0.5, 0.5]),
        "whole": view(0.3, [0.3, 0.7], [0.2, 0.8]),
    }
    found = out_of_fold_by_effort(views)
    assert {effort: each.similarity[0] for effort, each in found.items()} == {
        "low": 0.2,
        "balanced": 0.2,
        "full": 0.3,
    }
    assert found["low"].probabilities["kind"].tolist() == [[0.6, 0.4], [0.5, 0.5]]
    assert found["full"].probabilities["kind"] == pytest.approx(np.array([[0.6, 0.4], [0.4, 0.6]]))


def test_a_threshold_is_chosen_for_f1_where_labels_are_many(taxonomy):
    field, rng = taxonomy.facet("field"), np.random.default_rng(0)
    probabilities = rng.random((4000, 3)) ** 3
    y_true = rng.random(probabilities.shape) < probabilities

    def f1(threshold):
        return evaluate(field, y_true, probabilities, threshold)["micro_f1"]

    found = fit_threshold(field, y_true, probabilities)
    best = max(f1(threshold) for threshold in np.arange(20, 61) / 100)
    assert f1(found) == pytest.approx(best, abs=0.005)
    few = fit_threshold(field, y_true[:40], probabilities[:40])
    assert few == pytest.approx(PRIOR_THRESHOLD, abs=0.05)
    # Labels that say otherwise move it; an exclusive facet has none.
    moved = fit_threshold(field, probabilities >= 0.58, probabilities)
    assert moved == pytest.approx(0.58, abs=0.01)
    assert fit_threshold(field, probabilities[:0] > 1, probabilities[:0]) == 0.5
    assert fit_threshold(taxonomy.facet("kind"), y_true, probabilities) == 0.5
