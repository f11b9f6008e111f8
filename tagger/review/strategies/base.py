"""Base classes of strategies, the pool that they choose from, and shared measures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Floats, Integers, Vectors, unit
from tagger.model import Predictions, similarity
from tagger.papers import Paper
from tagger.review.tasks import Queue
from tagger.taxonomy import Taxonomy


@dataclass(frozen=True)
class Pool:
    """The unlabelled papers to choose from, with their predictions.

    ``known`` holds the vectors of the papers that are labelled or wait for review, shape (known
    papers, dimensions).
    """

    papers: Sequence[Paper]
    predictions: Predictions
    known: Vectors
    taxonomy: Taxonomy

    def take(self, indices: Integers) -> Pool:
        """Return a pool of the papers at ``indices``."""
        papers = [self.papers[index] for index in indices]
        return replace(self, papers=papers, predictions=self.predictions.take(indices))


class Strategy(ABC):
    """A way to choose papers for review.

    If it is registered, all parameters of the constructor have defaults. ``queue`` is the queue of
    the chosen papers; by default it depends on the model's confidence in each.
    """

    queue: ClassVar[Queue | None] = None

    @abstractmethod
    def select(self, pool: Pool, count: int) -> list[int]:
        """Return the indices in the pool of at most ``count`` papers, most useful first."""


class ScoringStrategy(Strategy):
    """A strategy that scores each paper independently of the others."""

    @abstractmethod
    def score(self, pool: Pool) -> Floats:
        """Return the score of each paper, higher for a more useful label, shape (papers,)."""

    def select(self, pool: Pool, count: int) -> list[int]:
        """Return the papers with the highest scores; equal scores keep their order."""
        return [int(index) for index in np.argsort(-self.score(pool), kind="stable")[:count]]


def farthest_first(vectors: Vectors, known: Vectors, weights: Floats, count: int) -> list[int]:
    """Choose at most ``count`` papers by weighted farthest-first traversal.

    Each step takes the paper with the largest product of its weight, shape (papers,), and its
    cosine distance to the nearest known or already chosen paper. Gonzalez, "Clustering to minimize
    the maximum intercluster distance" (1985); the core-set selection of Sener and Savarese,
    "Active Learning for Convolutional Neural Networks" (2018).

    Parameters
    ----------
    vectors, known:
        Shapes (papers, dimensions) and (known papers, dimensions).
    """
    candidates = unit(vectors)
    distance = 1 - similarity_to_nearest(vectors, known)
    chosen: list[int] = []
    available: npt.NDArray[np.bool_] = np.ones(len(candidates), dtype=bool)
    for _ in range(min(count, len(candidates))):
        farthest = int(np.where(available, distance * weights, -np.inf).argmax())
        chosen.append(farthest)
        available[farthest] = False
        distance = np.minimum(distance, 1 - candidates @ candidates[farthest])
    return chosen


def similarity_to_nearest(vectors: Vectors, known: Vectors) -> Floats:
    """Return the cosine similarity of each paper to the nearest known paper, shape (papers,).

    It is -1, the minimum, if there is no known paper.
    """
    if not len(known):  # the vectors of no texts have no dimensions
        return np.full(len(vectors), -1.0)
    return similarity(unit(vectors), unit(known))


def entropy(probabilities: Floats) -> Floats:
    """Return the Shannon entropy over the last axis, in bits."""
    return np.asarray(-(probabilities * np.log2(np.maximum(probabilities, 1e-300))).sum(axis=-1))
