"""Unfamiliar: papers far from every labelled one."""

from __future__ import annotations

import numpy as np

from tagger.review.strategies.base import Pool, Strategy, farthest_first


class Unfamiliar(Strategy):
    """Nothing like it is labelled: each choice is far from what is known and chosen before."""

    def select(self, pool: Pool, count: int) -> list[int]:
        """Return the papers farthest from all that is known."""
        return farthest_first(
            pool.predictions.vectors, pool.known, np.ones(len(pool.papers)), count
        )
