"""Write and read tagged papers as JSON Lines, one paper per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from tagger.papers import TaggedPaper


def write_jsonl(rows: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    """Write one JSON object per line, with its keys in the given order."""
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_jsonl(path: Path) -> Iterator[TaggedPaper]:
    """Yield the papers of a valid ``tags.jsonl``, one line at a time."""
    with path.open(encoding="utf-8", newline="\n") as file:
        yield from map(TaggedPaper.from_row, map(json.loads, file))
