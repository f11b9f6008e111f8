"""Strategies of active learning: choose the papers to review.

A strategy is a subclass of :class:`~tagger.review.strategies.base.Strategy`, registered in the
entry point group ``tagger.strategies``. Other packages can add their own.
"""

from __future__ import annotations

from tagger._util.plugins import load_plugin, plugin_names
from tagger.review.strategies.base import Strategy

ENTRY_POINTS = "tagger.strategies"


def strategy_names() -> list[str]:
    """Return the names of all installed strategies."""
    return plugin_names(ENTRY_POINTS)


def load_strategy(name: str) -> Strategy:
    """Return a strategy by name, with its default parameters.

    Raises a TaggerError if the name is unknown or the package of the strategy fails to load.
    """
    return load_plugin(ENTRY_POINTS, name, Strategy)  # type: ignore[type-abstract]
