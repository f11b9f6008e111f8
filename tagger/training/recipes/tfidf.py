"""Logistic regression on the words of a paper."""

from __future__ import annotations

from tagger.model import Head
from tagger.training.heads import LEXICAL_C, HeadInputs, fit_linear
from tagger.training.recipes.base import Recipe, no_scores


class Tfidf(Recipe):
    """Logistic regression on TF-IDF weights.

    The encoder is not used for tags, only to compare papers: in drift and in review strategies.
    """

    def fit_head(self, given: HeadInputs) -> Head:
        facet = given.facet
        classifier = fit_linear(facet, given.terms, given.y_true, LEXICAL_C[facet.exclusive])
        return Head(facet, no_scores(facet, given.vectors), classifier)
