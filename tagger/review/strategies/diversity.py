"""Diversity: uncertain papers that differ from each other."""

from __future__ import annotations

from tagger.review.strategies.base import Pool, Strategy, farthest_first
from tagger.review.strategies.uncertainty import Uncertainty


class Diversity(Strategy):
    """Uncertain papers that differ from each other (farthest-first traversal, entropy weights)."""

    def select(self, pool: Pool, count: int) -> list[int]:
        """Return papers that are uncertain, and far from known papers and from each other."""
        uncertainty = Uncertainty().score(pool)
        return farthest_first(pool.predictions.vectors, pool.known, uncertainty, count)
