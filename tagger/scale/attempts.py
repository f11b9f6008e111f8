"""Which rows a worker was at when it died: one that kills its worker must not stop the run.

Before a worker tags some rows of a shard it notes which. If it dies, be it of the rows or because
its machine goes down, the next one to take up the shard finds the note and tags these rows one by
one. A row at which workers keep dying is given up.
"""

from __future__ import annotations

import json
from pathlib import Path

from tagger.atomic import cannot_write

MOST_DEATHS = 2
"""Workers that may die at one row alone before it is given up."""


class Attempts:
    """What workers that died have left of a shard.

    Parameters
    ----------
    path:
        Where the note is kept. It is not seen to that it reaches the disk: without it a row is
        tried once more, no worse.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = self._stop = self._deaths = 0
        self._given_up: set[int] = set()
        try:
            (start, stop, deaths), given_up = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError):
            return
        self._start, self._stop, self._deaths = start, stop, deaths + 1
        self._given_up = set(given_up)
        if stop - start == 1 and self._deaths >= MOST_DEATHS:
            self._given_up.add(start)

    def begin(self, start: int, stop: int) -> None:
        """Note that rows are being tagged now: from ``start`` to before ``stop`` in the shard.

        Raises
        ------
        TaggerError
            If the folder cannot be written to.
        """
        deaths = self._deaths if (start, stop) == (self._start, self._stop) else 0
        note = [[start, stop, deaths], sorted(self._given_up)]
        new = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(note), encoding="utf-8")
            new.replace(self._path)
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def is_suspect(self, row: int) -> bool:
        """Tell whether a worker died at a row, or at others together with it."""
        return self._start <= row < self._stop

    def is_given_up(self, row: int) -> bool:
        """Tell whether too many workers died at a row alone."""
        return row in self._given_up

    def end(self) -> None:
        """Take the note away: the shard is done."""
        self._path.unlink(missing_ok=True)
