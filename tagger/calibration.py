"""Fit calibrations on out-of-fold scores, and make out-of-fold probabilities of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tagger.decision import paper_confidence
from tagger.evaluation import Booleans, Integers
from tagger.heads import Calibration, Floats, probabilities
from tagger.model import EFFORTS, READ_ON_BELOW
from tagger.reference import OutOfFold
from tagger.taxonomy import Facet, Taxonomy
from tagger.training_data import TrainingData

_LOG_SCALES = (-3.0, 3.0)
"""Bounds of the logarithm of a scale: without them, a few papers that are all right or all wrong
would be given a confidence of 1."""


@dataclass(frozen=True)
class CalibratedView:
    """The calibrations for a text view by facet, and the out-of-fold predictions with it.

    A calibration is fitted on the out-of-fold scores, shape (members, papers, tags), of all judged
    papers; the probabilities of these papers are by one fitted on the other folds.
    """

    calibrations: dict[str, Calibration]
    out_of_fold: OutOfFold
    scores: Mapping[str, Floats]


def calibrate_view(
    data: TrainingData, folds: Integers, scores: Mapping[str, Floats], familiarity: Floats
) -> CalibratedView:
    """Fit the calibrations for a text view and turn out-of-fold scores into probabilities.

    ``folds`` and ``familiarity`` have shape (papers,), the scores of a facet (members, papers,
    tags).
    """
    calibrations, found = {}, {}
    for facet in data.taxonomy.facets:
        name = facet.name
        indices = np.flatnonzero(data.judged[name])
        y_true, judged = data.truth[name][indices], scores[name][:, indices]
        calibrations[name] = fit_calibration(facet, y_true, judged)
        found[name] = probabilities(facet, scores[name], calibrations[name])
        found[name][indices] = cross_calibrate(facet, y_true, judged, folds[indices])
    return CalibratedView(calibrations, OutOfFold(familiarity, found), scores)


def out_of_fold_by_effort(
    taxonomy: Taxonomy, views: Mapping[str, CalibratedView]
) -> dict[str, OutOfFold]:
    """Return the out-of-fold predictions of each effort, given those of all text views."""
    efforts = {}
    for effort, (first, *further) in EFFORTS.items():
        found = views[first].out_of_fold
        for view in further:
            sure = paper_confidence(taxonomy, found.probabilities) >= READ_ON_BELOW
            found = found.where(sure, views[view].out_of_fold)
        efforts[effort] = found
    return efforts


def fit_calibration(facet: Facet, y_true: Booleans, scores: Floats) -> Calibration:
    """Fit the calibration of a facet on the scores of papers that the head had not seen.

    Shapes are (papers, tags) and (members, papers, tags).
    """
    if not y_true.any() or y_true.all():
        return Calibration()
    if facet.exclusive:
        from scipy.optimize import minimize_scalar

        def loss(log_scale: float) -> float:
            calibration = Calibration(float(np.exp(log_scale)))
            return -float(np.log(probabilities(facet, scores, calibration)[y_true] + 1e-12).sum())

        return Calibration(float(np.exp(minimize_scalar(loss, bounds=_LOG_SCALES).x)))
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression().fit(scores.sum(axis=0).reshape(-1, 1), y_true.ravel())
    return Calibration(max(float(fitted.coef_[0, 0]), 0.0), float(fitted.intercept_[0]))


def cross_calibrate(facet: Facet, y_true: Booleans, scores: Floats, folds: Integers) -> Floats:
    """Return the probabilities of each fold by a calibration fitted on the other folds."""
    found = np.zeros(y_true.shape)
    for fold in np.unique(folds):
        other, own = folds != fold, folds == fold
        calibration = fit_calibration(facet, y_true[other], scores[:, other])
        found[own] = probabilities(facet, scores[:, own], calibration)
    return found
