"""The base of all strategies, and the pool of papers that they choose from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Floats, Integers, Vectors, unit
from tagger.model import Predictions, similarity
from tagger.papers import Paper
from tagger.taxonomy import Taxonomy


@dataclass(frozen=True)
class Pool:
    """The unlabelled papers to choose from, with their predictions in terms of the taxonomy.

    ``known`` holds the vectors of the papers that are labelled already, or wait for a label; shape
    (known papers, dimensions).
    """

    papers: Sequence[Paper]
    predictions: Predictions
    known: Vectors
    taxonomy: Taxonomy

    def take(self, rows: Integers) -> Pool:
        """Return a pool of some of the papers."""
        papers = [self.papers[row] for row in rows]
        return replace(self, papers=papers, predictions=self.predictions.take(rows))


class Strategy(ABC):
    """A way to choose papers for review. Parameters go to the constructor and have defaults."""

    @abstractmethod
    def select(self, pool: Pool, count: int) -> list[int]:
        """Return the places in the pool of at most ``count`` papers, most useful first."""


class ScoringStrategy(Strategy):
    """A strategy that gives every paper a score of its own, whatever else is chosen."""

    @abstractmethod
    def score(self, pool: Pool) -> Floats:
        """Return how useful a label would be for each paper, shape (papers,)."""

    def select(self, pool: Pool, count: int) -> list[int]:
        """Return the papers of highest score; equal ones keep their order."""
        return [int(row) for row in np.argsort(-self.score(pool), kind="stable")[:count]]


def farthest_first(vectors: Vectors, known: Vectors, weights: Floats, count: int) -> list[int]:
    """Choose at most ``count`` papers one by one, each far from all known or chosen before it.

    Farthest-first traversal (Gonzalez, "Clustering to minimize the maximum intercluster
    distance", 1985), the core-set choice of Sener and Savarese, "Active Learning for
    Convolutional Neural Networks" (2018). The distances of a paper, which are cosine distances of
    vectors of shape (papers, dimensions), are multiplied by its weight, shape (papers,).
    """
    own = unit(vectors)
    nearest = 1 - similarity_to_nearest(vectors, known)
    chosen: list[int] = []
    open_: npt.NDArray[np.bool_] = np.ones(len(own), dtype=bool)
    for _ in range(min(count, len(own))):
        best = int(np.where(open_, nearest * weights, -np.inf).argmax())
        chosen.append(best)
        open_[best] = False
        nearest = np.minimum(nearest, 1 - own @ own[best])
    return chosen


def similarity_to_nearest(vectors: Vectors, known: Vectors) -> Floats:
    """Return the cosine similarity of each paper to the nearest known one, shape (papers,).

    -1, the least there is, where nothing is known.
    """
    if not len(known):  # an encoder without texts cannot tell how many dimensions it has
        return np.full(len(vectors), -1.0)
    return similarity(unit(vectors), unit(known))


def entropy(probabilities: Floats) -> Floats:
    """Return Shannon's entropy over the last axis, in bits."""
    return np.asarray(-(probabilities * np.log2(np.maximum(probabilities, 1e-300))).sum(axis=-1))
