"""Logistic regression on vectors of the pretrained encoder."""

from __future__ import annotations

import numpy as np

from tagger.model import Head
from tagger.training.heads import ENCODER_C, HeadInputs, fit_linear
from tagger.training.recipes.base import Recipe, no_scores


class Frozen(Recipe):
    """Logistic regression on vectors of the pretrained encoder."""

    def fit_head(self, given: HeadInputs) -> Head:
        facet, y_true = given.facet, given.y_true
        of_views = np.tile(y_true, (len(given.vectors) // max(len(y_true), 1), 1))
        classifier = fit_linear(facet, given.vectors, of_views, ENCODER_C[facet.exclusive])
        return Head(facet, classifier, no_scores(facet, given.terms))
