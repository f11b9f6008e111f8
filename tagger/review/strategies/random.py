"""Random: a uniform sample, which measures the accuracy of tags without bias."""

from __future__ import annotations

import hashlib

import numpy as np

from tagger._util.arrays import Floats
from tagger.papers import Paper, paper_id
from tagger.review.strategies.base import Pool, ScoringStrategy


class Random(ScoringStrategy):
    """A uniform random sample; it depends only on titles and the seed."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def score(self, pool: Pool) -> Floats:
        """Return a pseudorandom number from 0 to 1 for each paper."""
        return np.array([random_number(paper, self.seed) for paper in pool.papers])


def random_number(paper: Paper, seed: object = 0) -> float:
    """Return a pseudorandom number from 0 to 1 that depends only on the title and the seed.

    The id would draw a paper anew whenever it gets another identifier.
    """
    digest = hashlib.sha256(f"{seed} {paper_id(paper.title)}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
