"""The input cut into shards: files are read once, and their entries merged across all of them.

Each file is read by one worker, which leaves in the work folder the papers of every shard, the
problems of its other rows, and the keys that tell which entries speak of one paper.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from tagger._util.atomic import cannot_write, replacing, replacing_bytes
from tagger.errors import Problem, TaggerError
from tagger.papers import EntryKeys, Paper, PaperSpool, merge_entries, read_records
from tagger.tagging.storage import StoredFile, local_file

ROWS_PER_SHARD = 8192
"""A shard takes a core about two minutes, and a worker that dies loses at most so much."""


class Shard(BaseModel):
    """Some rows of a file: how many are papers, and why others are none.

    Results are in the order of ``number``; ``label`` names its files in the work folder.
    """

    number: int = 0
    label: str
    papers: int
    problems: list[Problem]

    @property
    def rows(self) -> int:
        """Number of its rows."""
        return self.papers + len(self.problems)


def read_file(
    work: Path,
    columns: Mapping[str, str],
    format_name: str | None,
    rows_per_shard: int,
    item: tuple[int, StoredFile],
) -> None:
    """Read a numbered file, if that was not done, and leave its shards in the work folder."""
    number, file = item
    done = _summary(work, number)
    if done.exists():
        return
    keys, shards = EntryKeys(), list[dict[str, Any]]()
    try:
        with local_file(file.place) as path:
            rows = read_records(path, format_name, columns)
            while some := list(islice(rows, rows_per_shard)):
                papers = [row for row in some if isinstance(row, Paper)]
                errors = [row for row in some if isinstance(row, TaggerError)]
                label = f"{number:06d}-{len(shards):06d}"
                _write_papers(work / f"{label}.sqlite", papers)
                for paper in papers:
                    keys.add(paper)
                problems = [Problem.of(error, file.place) for error in errors]
                shard = Shard(label=label, papers=len(papers), problems=problems)
                shards.append(shard.model_dump())
            if not shards:
                raise TaggerError("the file contains no papers", path=path)
    except TaggerError as error:
        raise error.at(file.place) from error
    with replacing_bytes(done.with_suffix(".npz")) as content:
        keys.save(content)
    with replacing(done) as text:
        json.dump(shards, text)


def merged_shards(work: Path, files: int) -> list[Shard]:
    """Return the shards of all files; a paper stands where its first entry does."""
    keys, shards = EntryKeys(), list[Shard]()
    for number in range(files):
        keys.load(_summary(work, number).with_suffix(".npz"))
        for known in json.loads(_summary(work, number).read_text(encoding="utf-8")):
            shards.append(Shard(**{**known, "number": len(shards)}))
    numbers = keys.number()
    starts = np.cumsum([0, *(shard.papers for shard in shards)])
    repeated = np.flatnonzero((np.bincount(numbers, minlength=1) > 1)[numbers])
    owners = np.searchsorted(starts, repeated, side="right") - 1
    entries: dict[int, list[tuple[str, int]]] = defaultdict(list)
    merged: dict[int, dict[int, Any]] = defaultdict(dict)
    for entry, owner in zip(repeated.tolist(), owners.tolist(), strict=True):
        row = entry - int(starts[owner])
        known = entries[int(numbers[entry])]
        # The first entry holds the list of all, which grows; the others hold none.
        merged[owner][row] = None if known else known
        known.append((shards[owner].label, row))
    for owner, rows in merged.items():
        with replacing(work / f"{shards[owner].label}.merged.json") as file:
            json.dump(rows, file)
    return shards


def papers_of(shard: Shard, work: Path) -> Iterator[Paper | None]:
    """Yield the papers of a shard, merged; None for an entry of a paper that stands elsewhere."""
    try:
        merged = json.loads((work / f"{shard.label}.merged.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        merged = {}
    spools: dict[str, PaperSpool] = {}

    def entry(label: str, row: int) -> Paper:
        if label not in spools:
            spools[label] = PaperSpool(path=work / f"{label}.sqlite")
        return spools[label][row]

    for row in range(shard.papers):
        entries = merged.get(str(row), [(shard.label, row)])
        yield merge_entries([entry(*each) for each in entries]) if entries else None


def _write_papers(path: Path, papers: Sequence[Paper]) -> None:
    new = path.with_suffix(f".{os.urandom(8).hex()}.tmp")
    try:
        new.parent.mkdir(parents=True, exist_ok=True)
        PaperSpool(papers, new).close()
        new.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error


def _summary(work: Path, number: int) -> Path:
    return work / f"{number:06d}.json"
