"""Rows that could not be tagged, kept with the reason: nothing that came in is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tagger.atomic import replacing

FOLDER = "dead_letters"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A row that has no tags.

    Parameters
    ----------
    file, line:
        Where it stands; in Parquet the number of the row, counted from 1.
    reason:
        Why it was not tagged.
    given:
        The row: its fields, or the text where it could not be told apart into fields.
    """

    file: str
    line: int
    reason: str
    given: Any


def write_dead_letters(path: Path, letters: Sequence[DeadLetter]) -> None:
    """Write one JSON object a line, or see that there is no file where there is no letter.

    Raises
    ------
    TaggerError
        If the folder cannot be written to.
    """
    if not letters:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as file:
        for letter in letters:
            line = json.dumps(asdict(letter), ensure_ascii=False, default=str)
            # JSON may hold halves of surrogate pairs, which no file can be written with.
            file.write(line.encode("utf-8", "replace").decode() + "\n")
