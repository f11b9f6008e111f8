from dataclasses import replace

import numpy as np
import pytest
from helpers.samples import label_of

from tagger.evaluation import evaluate
from tagger.model import Calibration, calibrated_probabilities
from tagger.training import TrainingData
from tagger.training.calibration import (
    PRIOR_THRESHOLD,
    calibrate_effort,
    calibrate_view,
    fit_calibration,
    fit_threshold,
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


def data_of(taxonomy, papers=60, annotated=True, audited=False, arrived=False):
    """Scores, and labels drawn by them; of a mask, some papers are annotated, audited, reviewed."""
    rng = np.random.default_rng(0)
    scores = {f.name: rng.normal(size=(2, papers, 3)) for f in taxonomy.facets}
    audits, reviews, known = (
        np.broadcast_to(mask, papers) for mask in (audited, arrived, annotated)
    )
    y_true = {f.name: draw(f, scores[f.name], Calibration()) for f in taxonomy.facets}
    labels = [
        label_of(
            f"Paper {n}",
            text="",
            tags={
                f.name: np.array(f.tag_names)[y_true[f.name][n]].tolist()
                for f in taxonomy.facets
                if known[n] or f is taxonomy.facets[0]
            },
            source="review" if audits[n] or reviews[n] else "seed",
            queue="audit" if audits[n] else "confused" if reviews[n] else None,
        )
        for n in range(papers)
    ]
    return TrainingData.of(labels, taxonomy), scores


def calibrated_view(data, scores):
    return calibrate_view(data, np.arange(len(data.labels)) % 2, scores, np.ones(len(data.labels)))


def test_a_fold_is_calibrated_by_the_others(taxonomy):
    data, scores = data_of(taxonomy)
    facet, y_true = taxonomy.facet("kind"), data.y_true["kind"]
    found = calibrated_view(data, scores).out_of_fold.probabilities["kind"]
    first = np.arange(60) % 2 == 0
    by_others = fit_calibration(facet, y_true[~first], scores["kind"][:, ~first])
    expected = calibrated_probabilities(facet, scores["kind"][:, first], by_others)
    assert np.allclose(found[first], expected, atol=1e-4)
    # The labels of a fold do not count for it.
    y_true[first] = np.roll(y_true[first], 1, axis=1)
    again = calibrated_view(data, scores).out_of_fold.probabilities["kind"]
    assert (again[first] == found[first]).all()


def test_papers_that_nobody_judged_are_predicted_and_teach_nothing(taxonomy):
    data, scores = data_of(taxonomy, annotated=np.arange(60) < 40)
    before = calibrated_view(data, scores)
    data.y_true["field"][40:] = True
    after = calibrated_view(data, scores)
    assert after.calibrations == before.calibrations
    found = after.out_of_fold.probabilities["field"]
    assert (found == before.out_of_fold.probabilities["field"]).all()
    field = taxonomy.facet("field")
    expected = calibrated_probabilities(field, scores["field"], after.calibrations["field"])
    assert (found[40:] == expected[40:]).all()


def test_papers_chosen_for_review_teach_no_calibration(taxonomy):
    chosen = np.arange(60) >= 40
    data, scores = data_of(taxonomy, arrived=chosen)
    before = calibrated_view(data, scores)
    for values in data.y_true.values():
        values[chosen] = np.roll(values[chosen], 1, axis=1)
    after = calibrated_view(data, scores)
    for name, calibration in before.calibrations.items():
        assert replace(after.calibrations[name], capped=()) == replace(calibration, capped=())
    # Without others they do.
    alone, scores = data_of(taxonomy, arrived=True)
    seeds, _ = data_of(taxonomy)
    assert (
        calibrated_view(alone, scores).calibrations == calibrated_view(seeds, scores).calibrations
    )


def test_the_audit_sample_outweighs_seed_labels(taxonomy):
    """The scores of seeds say twice as much as those of papers that arrive."""
    audited = np.arange(400) >= 200
    data, scores = data_of(taxonomy, 400, audited=audited)
    for values in scores.values():
        values[:, ~audited] /= 2
        values[:, audited] *= 2
    found = calibrated_view(data, scores).calibrations
    assert found["kind"].scale == pytest.approx(0.5, rel=0.35)
    assert calibrated_view(data_of(taxonomy, 400)[0], scores).calibrations["kind"].scale > (
        1.2 * found["kind"].scale
    )


def test_the_mean_of_views_is_calibrated_once_more(taxonomy):
    """Views that err independently are right together more often than their mean says."""
    data, scores = data_of(taxonomy, 2000, audited=True)
    folds, rng = np.arange(2000) % 5, np.random.default_rng(1)
    noisy = [
        {name: s + rng.normal(size=s.shape) * 1.5 for name, s in scores.items()} for _ in range(3)
    ]
    views = [
        calibrate_view(data, folds, each, np.full(2000, near))
        for near, each in zip((0.1, 0.2, 0.3), noisy, strict=True)
    ]
    found = calibrate_effort(data, folds, views)
    assert (found.out_of_fold.similarity == 0.3).all(), "that of the last view"
    for facet in taxonomy.facets:
        mean = np.mean([v.out_of_fold.probabilities[facet.name] for v in views], axis=0)
        error = [
            evaluate(facet, data.y_true[facet.name], p)["calibration_error"]
            for p in (mean, found.out_of_fold.probabilities[facet.name])
        ]
        assert error[1] < error[0]
        assert found.calibrations[facet.name].scale > 1.1


def test_confidences_from_seed_labels_are_shrunk(taxonomy):
    data, scores = data_of(taxonomy, 2000)
    audit, _ = data_of(taxonomy, 2000, audited=True)
    folds = np.arange(2000) % 5
    seeds, real = (
        calibrate_effort(each, folds, [calibrate_view(each, folds, scores, np.ones(2000))])
        for each in (data, audit)
    )
    for name, calibration in real.calibrations.items():
        # The prior that the mean is calibrated already weighs more next to seed labels.
        assert seeds.calibrations[name].scale < 0.95 * calibration.scale


@pytest.mark.parametrize("name", ["kind", "field"])
def test_a_few_labels_do_not_make_confidences_extreme(taxonomy, name):
    facet, y_true = taxonomy.facet(name), np.eye(3, dtype=bool)[[0, 1, 2, 0, 1]]
    scores = (2.0 * y_true - 1)[None]
    alone, anchored = (fit_calibration(facet, y_true, scores, anchor=n).scale for n in (0, 20))
    assert 1 < anchored < min(alone, 1.7)
    assert fit_calibration(facet, y_true, -scores, anchor=20).scale < 1


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
