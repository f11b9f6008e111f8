"""Unfamiliar: papers far from all labelled papers."""

from __future__ import annotations

import numpy as np

from tagger.review.strategies.base import Pool, Strategy, farthest_first


class Unfamiliar(Strategy):
    """Papers unlike all labelled papers and unlike each other (farthest-first traversal)."""

    def select(self, pool: Pool, count: int) -> list[int]:
        """Return the papers farthest from known papers and from each other."""
        return farthest_first(
            pool.predictions.vectors, pool.known, np.ones(len(pool.papers)), count
        )
