"""JSON Lines: one tagged paper a line, the form that other programs read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from tagger.papers import TaggedPaper


def write_jsonl(rows: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    """Write one JSON object a line, in UTF-8 and with keys in the order given."""
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_jsonl(path: Path) -> Iterator[TaggedPaper]:
    """Yield the papers of a ``tags.jsonl`` of this version, a line at a time."""
    with path.open(encoding="utf-8", newline="\n") as file:
        yield from map(TaggedPaper.from_row, map(json.loads, file))
