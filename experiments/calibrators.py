"""Ways of turning the scores of a head into probabilities, to be compared by proper scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from tagger._util.arrays import Floats
from tagger.model import Calibration, probabilities
from tagger.taxonomy import Facet
from tagger.training.heads import fit_calibration

Booleans = npt.NDArray[np.bool_]
Calibrate = Callable[[Facet, Booleans, Floats, Floats], Floats]
"""Truth and scores to fit on, scores to calibrate; returns probabilities."""


def log_loss(facet: Facet, truth: Booleans, chances: Floats) -> float:
    """Return the mean negative log likelihood of a paper's tags."""
    chances = np.clip(chances, 1e-6, 1 - 1e-6)
    if facet.exclusive:
        return float(-np.log(chances[truth]).mean())
    return float(-np.log(np.where(truth, chances, 1 - chances)).sum(axis=1).mean())


def none(facet: Facet, _truth: Booleans, _scores: Floats, asked: Floats) -> Floats:
    return probabilities(facet, asked, Calibration())


def isotonic(facet: Facet, truth: Booleans, scores: Floats, asked: Floats) -> Floats:
    """One curve for all tags of a facet; an exclusive facet is made to sum to 1 again."""
    before, chances = (probabilities(facet, each, Calibration()) for each in (scores, asked))
    curve = IsotonicRegression(out_of_bounds="clip").fit(before.ravel(), truth.ravel())
    after = np.asarray(curve.predict(chances.ravel())).reshape(chances.shape)
    if facet.exclusive:
        after = np.maximum(after, 1e-6)
        after = after / after.sum(axis=1, keepdims=True)
    return after


def as_tagger(facet: Facet, truth: Booleans, scores: Floats, asked: Floats) -> Floats:
    return probabilities(facet, asked, fit_calibration(facet, truth, scores))


CALIBRATORS: dict[str, Calibrate] = {
    "none": none,
    "isotonic": isotonic,
    "temperature or Platt (tagger)": as_tagger,
}
