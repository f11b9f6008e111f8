"""Random: a fair sample, the only one that measures honestly how good the tags are."""

from __future__ import annotations

import hashlib

import numpy as np

from tagger._util.arrays import Floats
from tagger.papers import Paper
from tagger.review.strategies.base import Pool, ScoringStrategy


class Random(ScoringStrategy):
    """A draw that depends on the paper and the seed alone, so that it comes out again the same."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def score(self, pool: Pool) -> Floats:
        """Return a number from 0 to 1 that has nothing to do with the content of a paper."""
        return np.array([draw_of(paper, self.seed) for paper in pool.papers])


def draw_of(paper: Paper, seed: object = 0) -> float:
    """Return a number from 0 to 1 drawn by the paper's identity and the seed alone."""
    digest = hashlib.sha256(f"{seed} {paper.id}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
