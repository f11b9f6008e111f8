"""Ways of turning the scores of a head into probabilities, to be compared by proper scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from tagger._util.arrays import Floats
from tagger.model import Calibration, calibrated_probabilities
from tagger.taxonomy import Facet
from tagger.training.heads import fit_calibration

Booleans = npt.NDArray[np.bool_]
Calibrate = Callable[[Facet, Booleans, Floats, Floats], Floats]
"""Truth and scores to fit on, scores to calibrate; returns probabilities."""


def log_loss(facet: Facet, y_true: Booleans, probabilities: Floats) -> float:
    """Return the mean negative log likelihood of a paper's tags."""
    probabilities = np.clip(probabilities, 1e-6, 1 - 1e-6)
    if facet.exclusive:
        return float(-np.log(probabilities[y_true]).mean())
    return float(-np.log(np.where(y_true, probabilities, 1 - probabilities)).sum(axis=1).mean())


def none(facet: Facet, _truth: Booleans, _scores: Floats, asked: Floats) -> Floats:
    return calibrated_probabilities(facet, asked, Calibration())


def isotonic(facet: Facet, y_true: Booleans, scores: Floats, asked: Floats) -> Floats:
    """One curve for all tags of a facet; an exclusive facet is made to sum to 1 again."""
    before, probabilities = (
        calibrated_probabilities(facet, each, Calibration()) for each in (scores, asked)
    )
    curve = IsotonicRegression(out_of_bounds="clip").fit(before.ravel(), y_true.ravel())
    after = np.asarray(curve.predict(probabilities.ravel())).reshape(probabilities.shape)
    if facet.exclusive:
        after = np.maximum(after, 1e-6)
        after = after / after.sum(axis=1, keepdims=True)
    return after


def as_tagger(facet: Facet, y_true: Booleans, scores: Floats, asked: Floats) -> Floats:
    return calibrated_probabilities(facet, asked, fit_calibration(facet, y_true, scores))


CALIBRATORS: dict[str, Calibrate] = {
    "none": none,
    "isotonic": isotonic,
    "temperature or Platt (tagger)": as_tagger,
}
