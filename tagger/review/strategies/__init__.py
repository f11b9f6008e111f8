"""Strategies: which papers are worth a person's time.

A strategy is a small estimator with a name, found through the entry point group
``tagger.strategies``, so that another package can add its own.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from tagger.errors import TaggerError
from tagger.review.strategies.base import Strategy

ENTRY_POINTS = "tagger.strategies"


def strategy_names() -> list[str]:
    """Return the names of all strategies that are installed."""
    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})


def load_strategy(name: str) -> Strategy:
    """Return the strategy of that name with its default parameters.

    Raises
    ------
    TaggerError
        If there is none, or the package that offers it fails to load.
    """
    for point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            strategy = point.load()()
        except Exception as error:  # whatever the code of another package raises
            raise TaggerError(
                f"the strategy '{name}' does not load ({error})",
                hint=f"It comes from {point.value}",
            ) from error
        if not isinstance(strategy, Strategy):
            raise TaggerError(
                f"'{name}' is no strategy", hint=f"{point.value} must derive from Strategy"
            )
        return strategy
    raise TaggerError(
        f"there is no strategy '{name}'", hint=f"Known: {', '.join(strategy_names())}"
    )
