"""The binomial distribution. Tagging is installed without SciPy."""

from __future__ import annotations

import math


def at_least(count: int, trials: int, p: float) -> float:
    """Return the probability of ``count`` or more successes in ``trials``, each with ``p``."""
    p = min(max(p, 1e-6), 1 - 1e-6)
    # In logarithms, because the factorials of thousands overflow.
    return sum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + k * math.log(p)
            + (trials - k) * math.log1p(-p)
        )
        for k in range(count, trials + 1)
    )
