"""Heads: the classifiers of one facet.

A head has two members, a linear classifier on the vectors of the encoder and one on the words of
the paper. Their scores are added, and :mod:`tagger.model.calibration` turns them into
probabilities. A head has only arrays and numbers, so that a model is saved as safetensors and JSON.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Floats
from tagger.model.tfidf import SparseRows
from tagger.taxonomy import Facet

MEMBERS = ("encoder", "lexical")
"""Names of the members of a head, in the order of their scores."""


@dataclass(frozen=True)
class Linear:
    """A linear classifier: ``weights`` of shape (tags, features), ``bias`` of shape (tags,)."""

    weights: Floats
    bias: Floats

    def scores(self, features: npt.NDArray[np.floating] | SparseRows) -> Floats:
        """Return scores of shape (papers, tags) for features of shape (papers, features)."""
        return np.asarray(features @ self.weights.T + self.bias)


@dataclass(frozen=True)
class Head:
    """The classifiers of one facet: one on vectors, one on words, with tags as in ``tag_names``."""

    facet: Facet
    encoder: Linear
    lexical: Linear

    def scores(
        self, vectors: npt.NDArray[np.floating], terms: npt.NDArray[np.floating] | SparseRows
    ) -> Floats:
        """Return the scores of the members, shape (members, papers, tags)."""
        return np.stack([self.encoder.scores(vectors), self.lexical.scores(terms)])
