"""Diversity: doubtful papers that are unlike each other, not ten copies of one doubt."""

from __future__ import annotations

from tagger.review.strategies.base import Pool, Strategy, farthest_first
from tagger.review.strategies.uncertainty import Uncertainty


class Diversity(Strategy):
    """Cover the embedding space, doubtful regions first: distance times doubt decides."""

    def select(self, pool: Pool, count: int) -> list[int]:
        """Return papers that are doubtful and far from each other and from what is known."""
        doubt = Uncertainty().score(pool)
        return farthest_first(pool.predictions.vectors, pool.known, doubt, count)
