"""Calibration: turn the scores of a head into probabilities.

:mod:`tagger.training.calibration` fits the calibrations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import FiniteFloat

from tagger._util.arrays import Floats
from tagger.taxonomy import Facet

CAP = 0.9
"""The highest probability of a tag with too few labels."""


@dataclass(frozen=True)
class Calibration:
    """From a score to a logit, ``scale * score + shift``, the same for all tags of a facet.

    In an exclusive facet the scale is the inverse temperature of Guo et al., "On Calibration of
    Modern Neural Networks" (2017); in any other, scale and shift are those of the sigmoid of Platt,
    "Probabilistic Outputs for Support Vector Machines" (1999). ``capped`` are the tags with too few
    labels, for or against, to be certain of: their probability is at most :data:`CAP`.
    """

    scale: FiniteFloat = 1.0
    shift: FiniteFloat = 0.0
    capped: tuple[str, ...] = ()


def calibrated_probabilities(facet: Facet, scores: Floats, calibration: Calibration) -> Floats:
    """Turn scores of shape (members, papers, tags) into probabilities of shape (papers, tags).

    Rows of an exclusive facet sum to 1. In any other facet a tag is at least as likely as each tag
    below it.
    """
    logits = calibration.scale * scores.sum(axis=0) + calibration.shift
    most = np.where(np.isin(facet.tag_names, calibration.capped), CAP, 1.0)
    if facet.exclusive:
        odds = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        found = odds / odds.sum(axis=1, keepdims=True)
        # What a tag has above its cap goes to the others in equal parts.
        others, excess = found <= most, np.maximum(found - most, 0).sum(axis=1, keepdims=True)
        shares = others / np.maximum(others.sum(axis=1, keepdims=True), 1)
        return np.asarray(np.minimum(found, most) + excess * shares)
    found = np.minimum(1 / (1 + np.exp(-np.clip(logits, -500, 500))), most)
    for column, tag in enumerate(facet.tag_names):
        for above in facet.ancestors(tag):
            parent = facet.tag_names.index(above)
            found[:, parent] = np.maximum(found[:, parent], found[:, column])
    return np.asarray(found)


def logits_of(facet: Facet, probabilities: Floats) -> Floats:
    """Return the logits of probabilities, shape (papers, tags), to calibrate them once more."""
    kept = np.clip(probabilities, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(kept) if facet.exclusive else np.log(kept) - np.log1p(-kept))


def member_probabilities(facet: Facet, scores: Floats, calibration: Calibration) -> Floats:
    """Return the probabilities by each member alone, shape (members, papers, tags).

    A member stands in for all of them, so that the mean of their logits is the head's own.
    """
    alone = len(scores) * scores[:, None]
    return np.stack([calibrated_probabilities(facet, each, calibration) for each in alone])
