"""Ways of turning the scores of a head into probabilities, to be compared by proper scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from tagger.head_training import fit_calibration
from tagger.heads import Calibration, Floats, probabilities
from tagger.taxonomy import Facet

Booleans = npt.NDArray[np.bool_]
Calibrate = Callable[[Facet, Booleans, Floats, Floats], Floats]
"""Truth and scores to fit on, scores to calibrate; returns probabilities."""


def usual(facet: Facet) -> Calibration:
    """Return the calibration that is believed in before any label is seen."""
    nothing = np.zeros((0, len(facet.tags)), dtype=bool)
    return fit_calibration(facet, nothing, np.zeros((2, *nothing.shape)))


def log_loss(facet: Facet, truth: Booleans, chances: Floats) -> float:
    """Return the mean negative log likelihood of a paper's tags."""
    chances = np.clip(chances, 1e-6, 1 - 1e-6)
    if facet.exclusive:
        return float(-np.log(chances[truth]).mean())
    return float(-np.log(np.where(truth, chances, 1 - chances)).sum(axis=1).mean())


def none(facet: Facet, _truth: Booleans, _scores: Floats, asked: Floats) -> Floats:
    return probabilities(facet, asked, Calibration())


def fixed(facet: Facet, _truth: Booleans, _scores: Floats, asked: Floats) -> Floats:
    return probabilities(facet, asked, usual(facet))


def _fitted(free: tuple[bool, bool, bool]) -> Calibrate:
    """Fit a common temperature, the parts' ratio, the shift, by maximum likelihood."""

    def calibrate(facet: Facet, truth: Booleans, scores: Floats, asked: Floats) -> Floats:
        start = usual(facet)

        def at(parameters: Floats) -> Calibration:
            temperature, ratio, shift = np.where(free, parameters, 0)
            first, second = np.array(start.scales) * np.exp(temperature)
            return Calibration(
                (float(first * np.exp(ratio)), float(second * np.exp(-ratio))),
                0.0 if facet.exclusive else start.shift + float(shift),
            )

        def loss(parameters: Floats) -> float:
            return log_loss(facet, truth, probabilities(facet, scores, at(parameters)))

        best = minimize(loss, np.zeros(3), method="Nelder-Mead").x
        return probabilities(facet, asked, at(best))

    return calibrate


def isotonic(facet: Facet, truth: Booleans, scores: Floats, asked: Floats) -> Floats:
    """One curve for all tags of a facet; an exclusive facet is made to sum to 1 again."""
    before = probabilities(facet, scores, usual(facet))
    curve = IsotonicRegression(out_of_bounds="clip").fit(before.ravel(), truth.ravel())
    chances = probabilities(facet, asked, usual(facet))
    after = np.asarray(curve.predict(chances.ravel())).reshape(chances.shape)
    if facet.exclusive:
        after = np.maximum(after, 1e-6)
        after = after / after.sum(axis=1, keepdims=True)
    return after


def with_prior(facet: Facet, truth: Booleans, scores: Floats, asked: Floats) -> Floats:
    return probabilities(facet, asked, fit_calibration(facet, truth, scores))


CALIBRATORS: dict[str, Calibrate] = {
    "none": none,
    "the usual one, not fitted": fixed,
    "temperature": _fitted((True, False, False)),
    "Platt: temperature and shift": _fitted((True, False, True)),
    "temperature, shift, and the parts against each other": _fitted((True, True, True)),
    "isotonic": isotonic,
    "all of them with a prior (tagger)": with_prior,
}
