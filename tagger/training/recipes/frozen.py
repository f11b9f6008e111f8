"""Logistic regression on the encoder as it comes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tagger._util.arrays import Booleans, Vectors
from tagger.model import Calibration, Head
from tagger.taxonomy import Facet
from tagger.training.heads import ENCODER_C, fit_linear
from tagger.training.recipes.base import Recipe, no_scores


class Frozen(Recipe):
    """Logistic regression on vectors of the pretrained encoder."""

    def fit_head(
        self,
        facet: Facet,
        vectors: Vectors,
        terms: Any,
        y_true: Booleans,
        prototypes: Vectors,
        calibration: Calibration | None = None,
    ) -> Head:
        """Fit logistic regression on the vectors of all views."""
        of_views = np.tile(y_true, (len(vectors) // max(len(y_true), 1), 1))
        classifier = fit_linear(facet, vectors, of_views, ENCODER_C[facet.exclusive])
        return Head(facet, classifier, no_scores(facet, terms))
