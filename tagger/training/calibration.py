"""Fit calibrations and thresholds on out-of-fold scores.

:mod:`tagger.model.calibration` applies them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tagger._util.arrays import Booleans, Floats, Integers
from tagger.evaluation import DEFAULT_THRESHOLD, bootstrap_weights, weighted_figures
from tagger.model import Calibration, OutOfFold, calibrated_probabilities
from tagger.papers import EFFORTS
from tagger.taxonomy import Facet
from tagger.training.data import TrainingData

ENOUGH_LABELS = 5
"""The probability of a tag is capped if fewer papers have it, or fewer do not have it."""
PRIOR_THRESHOLD = 0.4
"""The threshold at which F1 is highest where F1 is 0.8."""
_THRESHOLDS = np.arange(20, 61) / 100
_BOOTSTRAPS = 200
_LOG_SCALES = (-3.0, 3.0)
"""Bounds of the logarithm of a calibration's scale. Without them, a few papers that are all
predicted right would get a confidence of 1."""


@dataclass(frozen=True)
class CalibratedView:
    """The calibrations of a text view by facet, and what they were fitted on.

    ``scores`` are out-of-fold scores by facet, shape (members, papers, tags). The probabilities of
    ``out_of_fold`` are calibrated on the other folds.
    """

    calibrations: dict[str, Calibration]
    out_of_fold: OutOfFold
    scores: Mapping[str, Floats]


def calibrate_view(
    data: TrainingData, folds: Integers, scores: Mapping[str, Floats], similarity: Floats
) -> CalibratedView:
    """Calibrate the out-of-fold scores of a text view.

    ``folds`` and ``similarity`` (to the training set) have shape (papers,), ``scores`` per facet
    (members, papers, tags).
    """
    calibrations, probabilities = {}, {}
    for facet in data.taxonomy.facets:
        name = facet.name
        indices = np.flatnonzero(data.annotated[name])
        y_true, annotated = data.y_true[name][indices], scores[name][:, indices]
        calibrations[name] = fit_calibration(facet, y_true, annotated)
        probabilities[name] = calibrated_probabilities(facet, scores[name], calibrations[name])
        probabilities[name][indices] = cross_calibrate(facet, y_true, annotated, folds[indices])
    return CalibratedView(calibrations, OutOfFold(similarity, probabilities), scores)


def out_of_fold_by_effort(views: Mapping[str, CalibratedView]) -> dict[str, OutOfFold]:
    """Return the out-of-fold predictions of each effort: the mean over its text views."""
    efforts = {}
    for effort, names in EFFORTS.items():
        parts = [views[name].out_of_fold for name in names]
        efforts[effort] = OutOfFold(
            parts[-1].similarity,
            {
                facet: np.mean([part.probabilities[facet] for part in parts], axis=0)
                for facet in parts[-1].probabilities
            },
        )
    return efforts


def fit_threshold(facet: Facet, y_true: Booleans, probabilities: Floats) -> float:
    """Choose the threshold of a facet for micro-F1 on out-of-fold predictions.

    Both arrays have shape (papers, tags). The best threshold of calibrated probabilities is half of
    the best F1 (Lipton et al., "Optimal Thresholding of Classifiers to Maximize F1 Measure", 2014),
    about :data:`PRIOR_THRESHOLD`. Among the thresholds whose F1 is within one standard error of the
    highest, the one nearest to it is returned (Breiman et al., "Classification and Regression
    Trees", 1984). An exclusive facet, which needs no threshold, gets the default.
    """
    if facet.exclusive or not y_true.any():
        return DEFAULT_THRESHOLD
    weights = np.vstack([np.ones(len(y_true)), bootstrap_weights(len(y_true))[:_BOOTSTRAPS]])
    f1 = np.array(
        [
            weighted_figures(facet, y_true, probabilities, weights, threshold)["micro_f1"]
            for threshold in _THRESHOLDS
        ]
    )
    loss = f1[f1[:, 0].argmax()] - f1
    near = loss[:, 0] <= loss[:, 1:].std(axis=1)
    distance = np.where(near, np.abs(_THRESHOLDS - PRIOR_THRESHOLD), np.inf)
    return float(_THRESHOLDS[distance.argmin()])


def fit_calibration(facet: Facet, y_true: Booleans, scores: Floats) -> Calibration:
    """Fit a calibration on out-of-fold scores, shape (members, papers, tags).

    ``y_true`` has shape (papers, tags). Tags without a label are left out, since it is unknown
    which papers have them.
    """
    few = np.minimum(y_true.sum(axis=0), (~y_true).sum(axis=0)) < ENOUGH_LABELS
    capped = tuple(np.array(facet.tag_names)[few].tolist())
    if not y_true.any() or y_true[:, y_true.any(axis=0)].all():
        return Calibration(capped=capped)
    if facet.exclusive:
        from scipy.optimize import minimize_scalar

        def loss(log_scale: float) -> float:
            calibration = Calibration(float(np.exp(log_scale)))
            return -float(
                np.log(calibrated_probabilities(facet, scores, calibration)[y_true] + 1e-12).sum()
            )

        scale = float(np.exp(minimize_scalar(loss, bounds=_LOG_SCALES).x))
        return Calibration(scale, capped=capped)
    from sklearn.linear_model import LogisticRegression

    labelled = y_true.any(axis=0)
    summed = scores.sum(axis=0)[:, labelled].reshape(-1, 1)
    fitted = LogisticRegression().fit(summed, y_true[:, labelled].ravel())
    return Calibration(max(float(fitted.coef_[0, 0]), 0.0), float(fitted.intercept_[0]), capped)


def cross_calibrate(facet: Facet, y_true: Booleans, scores: Floats, folds: Integers) -> Floats:
    """Return probabilities of shape (papers, tags), each fold calibrated on the other folds."""
    probabilities = np.zeros(y_true.shape)
    for fold in np.unique(folds):
        other, own = folds != fold, folds == fold
        calibration = fit_calibration(facet, y_true[other], scores[:, other])
        probabilities[own] = calibrated_probabilities(facet, scores[:, own], calibration)
    return probabilities
