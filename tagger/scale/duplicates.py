"""Entries of one paper in different shards become one paper, as in a run on one machine.

Three steps, each over all shards, of which only the first has to look at every row:

1. Every paper goes by some names: its identifiers, and a hash of its title. Of each shard, 64 bits
   of each name are kept.
2. The names that occur twice are found by sorting, some at a time so that memory is bounded.
3. Papers that go by one of those are few. They alone are compared, by the same rule as always
   (:func:`tagger.paper.number_papers`), and each shard is told which of its rows are part of
   which paper. Papers that share no name are never joined, so leaving them out changes nothing.

The paper stands where its first entry does.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.atomic import replacing, replacing_bytes
from tagger.paper import Paper, merge_entries, number_papers
from tagger.scale.dead_letters import DeadLetter
from tagger.scale.shards import Shard
from tagger.scale.tables import read_shard

Names = npt.NDArray[np.uint64]

_AT_ONCE = 2**24
"""Names that are sorted at once: 128 MB."""
_RANGE = 2**64
_DUPLICATE_NAMES = "duplicate_names.npy"
_DONE = "duplicates.json"


def note_names(shard: Shard, work: Path) -> int:
    """Keep the names that papers of a shard go by, if not done; return its number of rows."""
    path = work / "names" / f"{shard.label}.npy"
    if path.exists():
        return shard.cut.rows
    papers = (row for _, row in read_shard(shard) if isinstance(row, Paper))
    names = np.array([_hash(name) for paper in papers for name in paper.known_as], dtype=np.uint64)
    with replacing_bytes(path) as file:
        np.save(file, np.sort(names))
    return shard.cut.rows


def find_duplicate_names(shards: Sequence[Shard], work: Path, at_once: int = _AT_ONCE) -> list[int]:
    """Find the names that occur twice.

    Parameters
    ----------
    shards:
        All shards, whose names were noted.
    work:
        The folder of what is left from step to step.
    at_once:
        Names to hold in memory.

    Returns
    -------
    list of int
        Numbers of the shards in which any of them occurs.
    """
    files = {shard.number: work / "names" / f"{shard.label}.npy" for shard in shards}
    total = sum(len(_names_in(path)) for path in files.values())
    passes = total // at_once + 1
    # Hashes are even over their range.
    bounds = [_RANGE * n // passes for n in range(passes + 1)]
    found = []
    for low, high in pairwise(bounds):
        names = np.sort(
            np.concatenate(
                [_between(_names_in(path), low, high) for path in files.values()]
                or [np.zeros(0, dtype=np.uint64)]
            )
        )
        found.append(np.unique(names[1:][names[1:] == names[:-1]]))
    shared = np.concatenate(found)
    with replacing_bytes(work / _DUPLICATE_NAMES) as file:
        np.save(file, shared)
    return [
        number for number, path in files.items() if len(shared) and _any_in(_names_in(path), shared)
    ]


def note_candidates(shard: Shard, work: Path) -> int:
    """Keep the papers of a shard that share a name with another; return how many."""
    shared = _names_in(work / _DUPLICATE_NAMES)
    lines = []
    for row, (_, paper) in enumerate(read_shard(shard)):
        if isinstance(paper, Paper):
            names = np.array([_hash(name) for name in paper.known_as], dtype=np.uint64)
            if _any_in(names, shared):
                lines.append(json.dumps([row, *_fields(paper)]))
    with replacing(_candidates(work, shard.label)) as file:
        file.writelines(f"{line}\n" for line in lines)
    return len(lines)


def merge_candidates(shards: Sequence[Shard], work: Path) -> int:
    """Say for every shard which of its rows are part of which paper.

    Takes some 100 bytes of memory for each paper that shares a name with another.

    Parameters
    ----------
    shards:
        Those with candidates, in order.
    work:
        The folder of what is left from step to step.

    Returns
    -------
    int
        Rows that are part of a paper that stands elsewhere.
    """
    owners, rows, offsets = array("q"), array("q"), array("q")

    def candidates() -> Iterator[Paper]:
        for number, shard in enumerate(shards):
            for offset, row, paper in _read_candidates(_candidates(work, shard.label)):
                owners.append(number)
                rows.append(row)
                offsets.append(offset)
                yield paper

    papers = number_papers(candidates())
    order = np.argsort(papers, kind="stable")
    # Where the entries of each paper begin among all in that order.
    starts = np.searchsorted(papers[order], np.arange(papers.max(initial=-1) + 2))
    place, total = 0, 0
    for number, shard in enumerate(shards):
        merged: list[tuple[int, list[tuple[str, int]]]] = []
        gone: list[int] = []
        while place < len(owners) and owners[place] == number:
            first, last = starts[papers[place]], starts[papers[place] + 1]
            entries = order[first:last]
            if entries[0] != place:
                gone.append(rows[place])
            elif len(entries) > 1:
                members = [(shards[owners[at]].label, offsets[at]) for at in entries]
                merged.append((rows[place], members))
            place += 1
        if merged or gone:
            with replacing(work / "merged" / f"{shard.label}.json") as file:
                json.dump({"merged": merged, "gone": gone}, file)
        total += len(gone)
    return total


def finish(work: Path, rows: int) -> None:
    """Note that all shards know of their duplicates."""
    with replacing(work / _DONE) as file:
        json.dump({"merged": rows}, file)


def are_known(work: Path) -> bool:
    """Tell whether :func:`finish` was reached."""
    return (work / _DONE).exists()


def papers_of(shard: Shard, work: Path) -> Iterator[tuple[int, Paper | DeadLetter | None]]:
    """Yield the line of each row of a shard and what it is, duplicates merged.

    None stands for a row that is part of a paper that stands elsewhere.
    """
    try:
        known = json.loads((work / "merged" / f"{shard.label}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = {"merged": [], "gone": []}
    merged, gone = dict(known["merged"]), set(known["gone"])
    for number, (line, row) in enumerate(read_shard(shard)):
        if number in gone:
            yield line, None
        elif number in merged:
            yield line, merge_entries(list(_members(merged[number], work)))
        else:
            yield line, row


def _members(places: Iterable[tuple[str, int]], work: Path) -> Iterator[Paper]:
    for label, offset in places:
        with _candidates(work, label).open("rb") as file:
            file.seek(offset)
            yield _paper(json.loads(file.readline()))[1]


def _candidates(work: Path, label: str) -> Path:
    return work / "candidates" / f"{label}.jsonl"


def _read_candidates(path: Path) -> Iterator[tuple[int, int, Paper]]:
    offset = 0
    with path.open("rb") as file:
        for line in file:
            row, paper = _paper(json.loads(line))
            yield offset, row, paper
            offset += len(line)


def _fields(paper: Paper) -> list[Any]:
    return [paper.title, paper.abstract, paper.sources, paper.id, paper.identifiers]


def _paper(fields: list[Any]) -> tuple[int, Paper]:
    row, title, abstract, sources, own, identifiers = fields
    return row, Paper(title, abstract, tuple(sources), own, tuple(identifiers))


def _hash(name: str) -> int:
    content = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _names_in(path: Path) -> Names:
    names: Names = np.load(path, mmap_mode="r")
    return names


def _between(names: Names, low: int, high: int) -> Names:
    start = np.searchsorted(names, np.uint64(low))
    stop = len(names) if high == _RANGE else np.searchsorted(names, np.uint64(high))
    return np.asarray(names[start:stop])


def _any_in(names: Names, known: Names) -> bool:
    """Tell whether any name is among sorted known ones."""
    at = np.searchsorted(known, names)
    inside = at < len(known)
    return bool((known[at[inside]] == names[inside]).any())
