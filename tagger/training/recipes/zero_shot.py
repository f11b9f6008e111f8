"""Tags from their definitions and examples; labels only calibrate."""

from __future__ import annotations

from typing import Any

import numpy as np

from tagger._util.arrays import Booleans, Vectors
from tagger.model import Calibration, Head, Linear
from tagger.taxonomy import Facet
from tagger.training.recipes.base import Recipe, no_scores

_SLOPE = 10.0
"""Any slope would do, since scores are calibrated; this is near those that calibration finds."""


class ZeroShot(Recipe):
    """Similarity of a paper to the definition of a tag, as vectors of the pretrained encoder.

    It is that of :mod:`tagger.model.zero_shot`, with definitions compared to those of their facet.
    """

    def fit_head(
        self,
        facet: Facet,
        vectors: Vectors,
        terms: Any,
        y_true: Booleans,
        prototypes: Vectors,
        calibration: Calibration | None = None,
    ) -> Head:
        """Return scores from definitions; the papers' texts give the typical paper."""
        weights = _SLOPE * (prototypes - prototypes.mean(axis=0)).astype(np.float64)
        typical = vectors[: len(y_true)].mean(axis=0)
        return Head(facet, Linear(weights, -weights @ typical), no_scores(facet, terms))
