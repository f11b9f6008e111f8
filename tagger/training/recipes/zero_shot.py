"""Tags from their definitions and examples; labels only calibrate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tagger.model import Head, Linear
from tagger.training.heads import HeadInputs
from tagger.training.recipes.base import Recipe, no_scores

_SLOPE = 10.0
"""Any slope would do, since scores are calibrated; this is near those that calibration finds."""


class ZeroShot(Recipe):
    """Similarity of a paper to the definition of a tag, as vectors of the pretrained encoder.

    It is that of :mod:`tagger.model.zero_shot`, with definitions compared to those of their facet.
    """

    def fit_head(self, given: HeadInputs) -> Head:
        """Return scores from definitions; the papers' texts give the typical paper."""
        prototypes = given.prototypes
        weights = _SLOPE * (prototypes - prototypes.mean(axis=0)).astype(np.float64)
        typical = given.vectors[: len(given.y_true)].mean(axis=0)
        words = no_scores(given.facet, given.terms)
        if given.cue_weights is not None:
            words = replace(words, weights=given.cue_weights)
        return Head(given.facet, Linear(weights, -weights @ typical), words)
