"""Heads: the classifiers of one facet, and the calibration that makes their scores probabilities.

A head has two parts, a linear classifier on the vectors of the encoder and one on the words of the
paper, and adds up their scores. It holds arrays and numbers only, so that a model can be kept as
safetensors and JSON.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagger.taxonomy import Facet

Floats = npt.NDArray[np.float64]

PARTS = ("encoder", "lexical")
"""What the parts of a head look at, in the order of their scores."""


@dataclass(frozen=True)
class Calibration:
    """How the scores of the parts add up to one logit: ``sum(scales * scores) + shift``.

    One scale a part and one shift serve all tags of a facet, so that few labels suffice to fit
    them. With a single part this is the temperature of Guo et al., "On Calibration of Modern
    Neural Networks" (2017), for an exclusive facet, where the shift cancels in the softmax, and
    the sigmoid of Platt, "Probabilistic Outputs for Support Vector Machines" (1999), for any
    other. With several it is stacking (Wolpert, "Stacked Generalization", 1992).
    """

    scales: tuple[float, ...] = (1.0, 1.0)
    shift: float = 0.0


@dataclass(frozen=True)
class Linear:
    """A linear classifier: ``weights`` of shape (tags, features), ``bias`` of shape (tags,)."""

    weights: Floats
    bias: Floats

    def scores(self, features: npt.NDArray[np.floating]) -> Floats:
        """Return scores of shape (papers, tags) for features of shape (papers, features)."""
        return np.asarray(features, dtype=np.float64) @ self.weights.T + self.bias


@dataclass(frozen=True)
class Head:
    """The classifiers of one facet.

    Parameters
    ----------
    facet:
        What they answer.
    encoder, lexical:
        One on vectors, one on words; their tags are in the order of ``facet.tag_names``.
    calibration:
        Fitted on scores of papers that the classifiers had not seen.
    """

    facet: Facet
    encoder: Linear
    lexical: Linear
    calibration: Calibration = Calibration()

    def scores(self, vectors: npt.NDArray[np.floating], terms: Floats) -> Floats:
        """Return the scores of the parts, shape (parts, papers, tags).

        Parameters
        ----------
        vectors:
            Of the encoder, shape (papers, dimensions).
        terms:
            Lexical features, shape (papers, terms).
        """
        return np.stack([self.encoder.scores(vectors), self.lexical.scores(terms)])

    def predict_proba(self, vectors: npt.NDArray[np.floating], terms: Floats) -> Floats:
        """Return calibrated probabilities of shape (papers, tags).

        Rows of an exclusive facet sum to 1. In any other facet a tag is at least as likely as
        each tag below it.
        """
        return probabilities(self.facet, self.scores(vectors, terms), self.calibration)


def probabilities(facet: Facet, scores: Floats, calibration: Calibration) -> Floats:
    """Turn scores of shape (parts, papers, tags) into probabilities of shape (papers, tags)."""
    logits = np.tensordot(calibration.scales, scores, axes=1) + calibration.shift
    if facet.exclusive:
        odds = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))
    chances = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    for column, tag in enumerate(facet.tag_names):
        for above in facet.ancestors(tag):
            parent = facet.tag_names.index(above)
            chances[:, parent] = np.maximum(chances[:, parent], chances[:, column])
    return np.asarray(chances)


def probabilities_of_parts(facet: Facet, scores: Floats, calibration: Calibration) -> Floats:
    """Return what each part alone would say, shape (parts, papers, tags).

    A part speaks for all of them, so that the mean of their logits is the head's own.
    """
    scales = calibration.scales
    alone = [
        tuple(len(PARTS) * scale * (other == part) for other, scale in enumerate(scales))
        for part in range(len(PARTS))
    ]
    return np.stack(
        [probabilities(facet, scores, Calibration(each, calibration.shift)) for each in alone]
    )
