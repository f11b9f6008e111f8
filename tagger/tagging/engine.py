"""Engines execute the work of a run, in this process or in workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from tagger.model import TaggerModel


class Engine(Protocol):
    """Executes work on items.

    ``shard_size`` is the number of papers in a shard, ``batch_size`` the number that is encoded
    together. ``device`` is ``cpu`` or ``cuda``. ``failures`` counts how often the engine failed and
    was restarted.
    """

    shard_size: int
    batch_size: int
    device: str
    failures: int

    def each(
        self, work: Callable[[Any], Any], items: Iterable[Any], *, holds_model: bool = False
    ) -> Iterator[Any]:
        """Yield the result of ``work`` for every item, in any order, as soon as it is available.

        With ``holds_model``, each worker keeps one copy of the work, and so its loaded model.
        """
        ...

    def share(self, model: TaggerModel, folder: Path) -> Callable[[], TaggerModel]:
        """Return a function that loads the model in a worker; it may copy it to ``folder`` now."""
        ...


class LocalEngine:
    """Executes work in this process."""

    shard_size = 256
    """Ten seconds of work, which is all that an interrupted run has to repeat."""
    batch_size = 64
    device = "cpu"
    failures = 0

    def each(
        self, work: Callable[[Any], Any], items: Iterable[Any], *, holds_model: bool = False
    ) -> Iterator[Any]:
        """Yield the result of ``work`` for one item after the other."""
        return map(work, items)

    def share(self, model: TaggerModel, folder: Path) -> Callable[[], TaggerModel]:
        """Return a function that returns the model itself."""
        return lambda: model
