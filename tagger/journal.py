"""Finished parts of long work, kept in a file so that a run that was killed can be taken up.

Each part is a line of JSON, on disk when :meth:`Journal.append` returns. What stands in them is not
kept in memory, only where they are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tagger.atomic import append_line
from tagger.errors import TaggerError

_KEY = "batch"


class Journal:
    """Finished parts, each found by its key.

    Parameters
    ----------
    path:
        The file, of an earlier run or not there yet. A last line that a kill cut short is no part.

    Raises
    ------
    TaggerError
        If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, int] = {}
        place = 0
        try:
            with path.open("rb") as file:
                for line in file:
                    key = _key_of(line)
                    if key is not None:
                        self._places[key] = place
                    place += len(line)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._unreadable() from error

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def read(self, key: str) -> dict[str, Any]:
        """Return what was last finished under a key that is in the journal.

        Raises
        ------
        TaggerError
            If it cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._places[key])
                entry: dict[str, Any] = json.loads(file.readline())
        except (OSError, ValueError) as error:
            raise self._unreadable() from error
        del entry[_KEY]
        return entry

    def append(self, key: str, entry: dict[str, Any]) -> None:
        """Keep what was finished under a key.

        Raises
        ------
        TaggerError
            If it cannot be written.
        """
        line = json.dumps({_KEY: key, **entry}, ensure_ascii=False)
        append_line(self._path, line)
        self._places[key] = self._path.stat().st_size - len(line.encode()) - 1

    def remove(self) -> None:
        """Delete the file: the work is done."""
        self._path.unlink(missing_ok=True)

    def _unreadable(self) -> TaggerError:
        return TaggerError(
            "the journal of an earlier run cannot be read",
            path=self._path,
            hint="Delete it to start afresh",
        )


def _key_of(line: bytes) -> str | None:
    try:
        key = json.loads(line)[_KEY]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return key if isinstance(key, str) else None
