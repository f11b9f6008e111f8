"""Write and read tagged papers and problems as JSON Lines, one per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from tagger._util.atomic import replacing
from tagger._util.jsonl import read_lines
from tagger.errors import Problem
from tagger.papers import Paper, TaggedPaper

ABSTRACTS_FILE = "abstracts.jsonl"
"""The abstracts of the papers of a result folder: id, abstract."""


@dataclass(frozen=True, slots=True)
class _Abstract:
    """A line of ``abstracts.jsonl``."""

    id: str
    abstract: str


def write_jsonl(rows: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    """Write one JSON object per line, with its keys in the given order."""
    for row in rows:
        # Text may contain lone surrogates, which UTF-8 cannot encode.
        line = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")
        file.write(line.decode() + "\n")


def read_jsonl(path: Path) -> Iterator[TaggedPaper]:
    """Yield the papers of a valid ``tags.jsonl``, one line at a time."""
    with path.open(encoding="utf-8", newline="\n") as file:
        yield from map(TaggedPaper.from_row, map(json.loads, file))


def write_problems(path: Path, problems: Sequence[Problem]) -> bool:
    """Write problems to a file, one per line; return whether there are any.

    Without problems the file is deleted.
    """
    return _write_if_any(path, map(asdict, problems))


def write_abstracts(folder: Path, papers: Iterable[Paper]) -> bool:
    """Write id and abstract of the papers that have one, as :func:`write_problems` does."""
    path = folder / ABSTRACTS_FILE
    known = ((paper.id, paper.abstract) for paper in papers if paper.abstract)
    return _write_if_any(path, ({"id": name, "abstract": text} for name, text in known))


def read_abstracts(folder: Path) -> dict[str, str]:
    """Return the abstracts that a result folder keeps, by the ids of papers."""
    path = folder / ABSTRACTS_FILE
    lines = read_lines(path, _Abstract) if path.exists() else ()
    return {one.id: one.abstract for _, one in lines}


def _write_if_any(path: Path, rows: Iterable[Mapping[str, Any]]) -> bool:
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        path.unlink(missing_ok=True)
        return False
    with replacing(path) as file:
        write_jsonl(chain((first,), rows), file)
    return True
