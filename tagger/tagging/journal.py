"""Finished parts of long work, kept in a file so that a run that was killed can be taken up."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from tagger._util.atomic import append_line
from tagger.errors import TaggerError


class Journal:
    """Finished batches, each a line of JSON that is found by its key and read when asked for.

    A last line that a kill cut short is passed over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, int] = {}
        place = 0
        try:
            with path.open("rb") as file:
                for line in file:
                    with suppress(ValueError, KeyError, TypeError, RecursionError):
                        self._places[json.loads(line)["batch"]] = place
                    place += len(line)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise TaggerError(
                "the journal of an earlier run cannot be read",
                path=path,
                hint="Delete it to start afresh",
            ) from error

    def read(self, key: str) -> dict[str, Any] | None:
        """Return what was last finished under a key; None if nothing was."""
        if key not in self._places:
            return None
        with self._path.open("rb") as file:
            file.seek(self._places[key])
            entry: dict[str, Any] = json.loads(file.readline())
        del entry["batch"]
        return entry

    def append(self, key: str, entry: dict[str, Any]) -> None:
        """Keep what was finished under a key; it is on disk when this returns."""
        line = json.dumps({"batch": key, **entry}, ensure_ascii=False)
        append_line(self._path, line)
        self._places[key] = self._path.stat().st_size - len(line.encode()) - 1

    def remove(self) -> None:
        """Delete the file: the work is done."""
        self._path.unlink(missing_ok=True)
