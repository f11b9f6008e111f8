"""What does the work of a run: this process, one item after the other, or workers elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from tagger.model import TaggerModel


class Engine(Protocol):
    """Does work on items.

    ``shard_size`` is the number of papers of one item of tagging, ``batch_size`` of those encoded
    together. ``device`` is what encodes, ``failures`` counts how often the engine gave up and was
    begun anew.
    """

    shard_size: int
    batch_size: int
    device: str
    failures: int

    def each(
        self, work: Callable[[Any], Any], items: Iterable[Any], *, holds_model: bool = False
    ) -> Iterator[Any]:
        """Yield what ``work`` returns for every item, in any order, as soon as it is there.

        With ``holds_model``, each worker keeps one copy of the work from item to item.
        """
        ...

    def share(self, model: TaggerModel, folder: Path) -> Callable[[], TaggerModel]:
        """Return what loads the model where the work is done; a copy may be put into a folder."""
        ...


class LocalEngine:
    """Works in this process."""

    shard_size = 256
    """Ten seconds of work: so much is done anew after a kill."""
    batch_size = 64
    device = "cpu"
    failures = 0

    def each(
        self, work: Callable[[Any], Any], items: Iterable[Any], *, holds_model: bool = False
    ) -> Iterator[Any]:
        """Do the work for one item after the other."""
        return map(work, items)

    def share(self, model: TaggerModel, folder: Path) -> Callable[[], TaggerModel]:
        """Give the model itself."""
        return lambda: model
