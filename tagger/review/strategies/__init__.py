"""Strategies of active learning: choose the papers to review.

A strategy is a subclass of :class:`~tagger.review.strategies.base.Strategy`, registered in the
entry point group ``tagger.strategies``. Other packages can add their own.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from tagger.errors import TaggerError
from tagger.review.strategies.base import Strategy

ENTRY_POINTS = "tagger.strategies"


def strategy_names() -> list[str]:
    """Return the names of all installed strategies."""
    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})


def load_strategy(name: str) -> Strategy:
    """Return a strategy by name, with its default parameters.

    Raises
    ------
    TaggerError
        If the name is unknown or the package of the strategy fails to load.
    """
    for point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            strategy = point.load()()
        except Exception as error:  # whatever the code of another package raises
            raise TaggerError(
                f"the strategy '{name}' cannot be loaded ({error})",
                hint=f"It is defined by {point.value}",
            ) from error
        if not isinstance(strategy, Strategy):
            raise TaggerError(
                f"'{name}' is not a strategy", hint=f"{point.value} must derive from Strategy"
            )
        return strategy
    raise TaggerError(
        f"there is no strategy '{name}'", hint=f"Known: {', '.join(strategy_names())}"
    )
