"""Write and read tagged papers as JSON Lines, one paper per line; write problems likewise."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from tagger._util.atomic import replacing
from tagger.errors import Problem
from tagger.papers import TaggedPaper


def write_jsonl(rows: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    """Write one JSON object per line, with its keys in the given order."""
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_jsonl(path: Path) -> Iterator[TaggedPaper]:
    """Yield the papers of a valid ``tags.jsonl``, one line at a time."""
    with path.open(encoding="utf-8", newline="\n") as file:
        yield from map(TaggedPaper.from_row, map(json.loads, file))


def write_problems(path: Path, problems: Sequence[Problem]) -> bool:
    """Write problems to a file, one per line; return whether there are any.

    Without problems the file is deleted.
    """
    if not problems:
        path.unlink(missing_ok=True)
        return False
    with replacing(path) as file:
        for problem in problems:
            # Text may contain lone surrogates, which UTF-8 cannot encode.
            line = json.dumps(asdict(problem), ensure_ascii=False).encode("utf-8", "replace")
            file.write(line.decode() + "\n")
    return True
