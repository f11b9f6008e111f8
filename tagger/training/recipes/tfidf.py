"""Logistic regression on the words of a paper."""

from __future__ import annotations

from typing import Any

from tagger._util.arrays import Booleans, Vectors
from tagger.model import Calibration, Head
from tagger.taxonomy import Facet
from tagger.training.heads import LEXICAL_C, fit_linear
from tagger.training.recipes.base import Recipe, no_scores


class Tfidf(Recipe):
    """Logistic regression on TF-IDF weights.

    The encoder is not used for tags, only to compare papers: in drift and in review strategies.
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
        """Fit logistic regression on the terms of the whole texts."""
        classifier = fit_linear(facet, terms, y_true, LEXICAL_C[facet.exclusive])
        return Head(facet, no_scores(facet, vectors), classifier)
