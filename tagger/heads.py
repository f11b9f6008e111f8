"""Heads: one linear classifier a facet, and the calibration that makes its scores probabilities.

They hold arrays and numbers only, so that a model can be kept as safetensors and JSON.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagger.taxonomy import Facet

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Platt scaling shared by the tags of a facet: ``scale * logit + shift``.

    For an exclusive facet the shift cancels in the softmax and ``1 / scale`` is the temperature
    (Guo et al., "On Calibration of Modern Neural Networks", 2017). For any other facet it is the
    sigmoid of Platt, "Probabilistic Outputs for Support Vector Machines" (1999).
    """

    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class Head:
    """A linear classifier for one facet.

    Parameters
    ----------
    facet:
        What it answers.
    weights:
        Shape (tags, dimensions), in the order of ``facet.tag_names``.
    bias:
        Shape (tags,).
    calibration:
        Fitted on logits of papers that the head had not seen.
    """

    facet: Facet
    weights: Floats
    bias: Floats
    calibration: Calibration = Calibration()

    def logits(self, vectors: npt.NDArray[np.floating]) -> Floats:
        """Return raw scores of shape (papers, tags) for vectors of shape (papers, dimensions)."""
        return np.asarray(vectors, dtype=np.float64) @ self.weights.T + self.bias

    def predict_proba(self, vectors: npt.NDArray[np.floating]) -> Floats:
        """Return calibrated probabilities of shape (papers, tags).

        Rows of an exclusive facet sum to 1. In any other facet a tag is at least as likely as
        each tag below it.
        """
        return probabilities(self.facet, self.logits(vectors), self.calibration)


def probabilities(facet: Facet, logits: Floats, calibration: Calibration) -> Floats:
    """Turn raw scores of shape (papers, tags) into calibrated probabilities of that shape."""
    scaled = calibration.scale * logits + calibration.shift
    if facet.exclusive:
        scaled = scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf)
        odds = np.exp(scaled)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
    chances = 1 / (1 + np.exp(-np.clip(scaled, -500, 500)))
    for column, tag in enumerate(facet.tag_names):
        for above in facet.ancestors(tag):
            parent = facet.tag_names.index(above)
            chances[:, parent] = np.maximum(chances[:, parent], chances[:, column])
    return np.asarray(chances)
