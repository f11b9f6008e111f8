"""Which papers look like versions of one study: pairs whose abstracts share much of their wording.

Every abstract is a set of shingles, three words each, known by a hash. Of each only a sketch is
compared with those of others, its :data:`SKETCH_SIZE` least hashes; a pair whose sketches have a
few in common is then looked at as a whole. Shingles, their resemblance, and sketches of the least
hashes are those of Broder, "On the resemblance and containment of documents" (1997).

Sketches and pairs are sorted in temporary files, one of 64 parts at a time: 4 bytes a paper are in
memory all the time, some 50 more while a part is sorted, and 1 to 2 KB a paper are on disk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.paper import Paper
from tagger.spool import full_temporary_folder, temporary_file

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]

SKETCH_SIZE = 64
"""Hashes a paper that are compared with those of others."""
_ENOUGH = 3
"""So many hashes in common make a pair worth a look. Where a share s of the shingles of two papers
is common to both, so is each hash of a sketch with a chance of s: fewer than 3 of 64 are in common
in 0.2% of pairs at s = 0.15, in 0.01% at 0.2."""
_SIZE = 3
_WORD = re.compile(r"\w+")
_WORDS_KNOWN = 1 << 16
_CHUNK = 512
"""Papers whose shingles are made at once."""
_PARTS = 64
_IN_MEMORY = 1 << 16
"""Bytes of a part that are kept in memory before it becomes a file."""
_BLOCK = 1 << 20
"""Pairs that are made at once."""

_HELD = np.dtype([("hash", np.uint64), ("paper", np.uint32)])


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two papers under different titles whose abstracts share much of their wording.

    Parameters
    ----------
    ids, titles:
        Of the two, the one that was read first before the other.
    similarity:
        Jaccard index of the abstracts' three-word shingles, 0 to 1.
    """

    ids: tuple[str, str]
    titles: tuple[str, str]
    similarity: float


def find_near_duplicates(
    papers: Sequence[Paper], *, threshold: float = 0.15, common: int = 50
) -> list[NearDuplicate]:
    """Find pairs of papers that are likely versions of one study.

    On 210 unrelated abstracts of one field no pair passes 0.05, so the default leaves room for
    rewritten abstracts. What is reported is measured on the whole abstracts; that a pair is missed
    because its sketches tell too little is rare and becomes rarer the more alike it is, see
    :data:`_ENOUGH`. Abstracts of no more than :data:`SKETCH_SIZE` shingles are never missed.

    Parameters
    ----------
    papers:
        Papers of different identity. They are gone through once, once more if a pair was found,
        and are otherwise looked up one at a time.
    threshold:
        Smallest Jaccard index to report.
    common:
        A shingle that stands in more papers than this is set phrase, not evidence, and is passed
        over, which also keeps the work linear in the number of papers.

    Returns
    -------
    list of NearDuplicate
        Most alike first.
    """
    found = list(_alike(papers, threshold, common))
    set_phrases = _set_phrases(papers, [shared for _, _, shared in found], common)
    pairs = []
    for first, second, shared in found:
        one, other = papers[first], papers[second]
        count = int((~np.isin(shared, set_phrases)).sum())
        similarity = count / (len(_shingles(one)) + len(_shingles(other)) - count)
        if similarity >= threshold:
            pairs.append(
                NearDuplicate((one.id, other.id), (one.title, other.title), round(similarity, 4))
            )
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.ids))


def _alike(
    papers: Sequence[Paper], threshold: float, common: int
) -> Iterator[tuple[int, int, Hashes]]:
    """Yield pairs above the threshold, if set phrases count, and the shingles that they share."""
    sizes, holders = _sketches(papers)
    # Two sets of a and b shingles need to share so large a part of a + b for this Jaccard index.
    share = threshold / (1 + threshold)
    for firsts, seconds, counts in _pairs(holders, common):
        # Less a little, for what is a whole number but for rounding.
        needed = np.ceil(share * (sizes[firsts] + sizes[seconds]) - 1e-6)
        enough = counts >= np.minimum(needed, _ENOUGH)
        for first, second in zip(firsts[enough].tolist(), seconds[enough].tolist(), strict=True):
            one, other = _shingles(papers[first]), _shingles(papers[second])
            shared = np.intersect1d(one, other, assume_unique=True)
            if len(shared) >= threshold * (len(one) + len(other) - len(shared)):
                yield first, second, shared


def _sketches(papers: Iterable[Paper]) -> tuple[npt.NDArray[np.uint32], _Parts]:
    """Return how many shingles each paper has, and its least ones, in parts by their hash."""
    sizes: list[npt.NDArray[np.uint32]] = [np.zeros(0, dtype=np.uint32)]
    parts = _Parts(_HELD)
    start = 0
    for owners, hashes, count in _shingles_in_chunks(papers):
        sizes.append(np.bincount(owners, minlength=count).astype(np.uint32))
        # They come in order of the papers, each one's in order of the hash.
        begin = np.repeat(np.cumsum(sizes[-1]) - sizes[-1], sizes[-1])
        least = np.arange(len(hashes)) - begin < SKETCH_SIZE
        held = np.empty(int(least.sum()), dtype=_HELD)
        held["hash"], held["paper"] = hashes[least], owners[least] + start
        parts.add(held, held["hash"])
        start += count
    return np.concatenate(sizes), parts


def _pairs(holders: _Parts, common: int) -> Iterator[tuple[Numbers, Numbers, Numbers]]:
    """Yield pairs of papers with the number of hashes that their sketches have in common."""
    pairs = _Parts(np.dtype(np.uint64))
    for held in holders:
        # Those of one hash are in the order of papers, as they were added.
        held = held[np.argsort(held["hash"], kind="stable")]
        starts = np.flatnonzero(np.append(True, held["hash"][1:] != held["hash"][:-1]))
        sizes = np.diff(np.append(starts, len(held)))
        papers = held["paper"].astype(np.uint64)
        # A hash that more papers hold is a shingle that more papers have: set phrase.
        for size in np.unique(sizes[(sizes > 1) & (sizes <= common)]).tolist():
            one, other = np.triu_indices(size, 1)
            alike = starts[sizes == size]
            step = max(1, _BLOCK // len(one))
            for start in range(0, len(alike), step):
                groups = papers[alike[start : start + step, None] + np.arange(size)]
                pair = groups[:, one] << np.uint64(32) | groups[:, other]
                pairs.add(pair.ravel(), groups[:, one].ravel())
    for found in pairs:
        distinct, counts = np.unique(found, return_counts=True)
        yield (
            (distinct >> np.uint64(32)).astype(np.int64),
            (distinct & np.uint64(0xFFFFFFFF)).astype(np.int64),
            counts,
        )


def _set_phrases(papers: Sequence[Paper], shared: Sequence[Hashes], common: int) -> Hashes:
    """Return those of the shingles that more papers have."""
    if not shared or len(papers) <= common:
        return np.zeros(0, dtype=np.uint64)
    wanted = np.unique(np.concatenate(shared))
    counts = np.zeros(len(wanted), dtype=np.int64)
    for _, hashes, _ in _shingles_in_chunks(papers):
        places = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
        np.add.at(counts, places[wanted[places] == hashes], 1)
    return wanted[counts > common]


def _shingles(paper: Paper) -> Hashes:
    [(_, hashes, _)] = _shingles_in_chunks([paper])
    return hashes


def _shingles_in_chunks(papers: Iterable[Paper]) -> Iterator[tuple[Numbers, Hashes, int]]:
    """Yield the shingles of some papers at a time, each once: their papers, hashes, papers in all.

    Papers are counted from 0 in each chunk; hashes are in order of the papers, then of the hash.
    """
    remaining = iter(papers)
    while chunk := list(islice(remaining, _CHUNK)):
        words = [_WORD.findall(paper.abstract.casefold()) for paper in chunk]
        owners = np.repeat(np.arange(len(chunk)), [len(own) for own in words])
        hashes = np.fromiter((_hash(word) for own in words for word in own), np.uint64)
        # What begins in one paper and ends in another is no shingle.
        last = len(hashes) - _SIZE + 1
        begins = np.flatnonzero(owners[: max(last, 0)] == owners[_SIZE - 1 :])
        shingles: Hashes = np.zeros(len(begins), dtype=np.uint64)
        for offset in range(_SIZE):
            shingles = _mixed(shingles + hashes[begins + offset])
        order = np.lexsort((shingles, owners[begins]))
        own, shingles = owners[begins][order], shingles[order]
        fresh = np.append(True, (own[1:] != own[:-1]) | (shingles[1:] != shingles[:-1]))
        yield own[fresh[: len(own)]], shingles[fresh[: len(own)]], len(chunk)


@lru_cache(_WORDS_KNOWN)
def _hash(word: str) -> int:
    content = word.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _mixed(values: Hashes) -> Hashes:
    """Scatter numbers over all of 64 bits: the finaliser of SplitMix64 (Steele et al., 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class _Parts:
    """Records in temporary files: those of one key are in one part, and parts are of like size.

    Going through them yields one part after the other, as a whole, and gives up its file.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._files = [temporary_file(_IN_MEMORY) for _ in range(_PARTS)]

    def add(self, records: npt.NDArray[Any], keys: Hashes) -> None:
        """Add records, each with its key; within a part they stay in the order of adding."""
        parts = keys % np.uint64(_PARTS)
        order = np.argsort(parts, kind="stable")
        ends = np.searchsorted(parts[order], np.arange(_PARTS, dtype=np.uint64), side="right")
        with full_temporary_folder():
            for file, own in zip(self._files, np.split(records[order], ends[:-1]), strict=True):
                file.write(own.tobytes())

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for file in self._files:
            with file, full_temporary_folder():
                file.seek(0)
                records = np.frombuffer(file.read(), dtype=self._dtype)
            if len(records):
                yield records
