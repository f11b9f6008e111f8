"""Find near duplicates: pairs of papers whose abstracts share much of their wording.

An abstract is a set of hashed three-word shingles. Its sketch is the :data:`SKETCH_SIZE` smallest
hashes. Pairs whose sketches share enough hashes are candidates, and are compared in full. Shingles,
resemblance and sketches follow Broder, "On the resemblance and containment of documents" (1997).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tagger.papers.identity import hash_of
from tagger.papers.paper import Paper
from tagger.papers.tagged_paper import Probability

Hashes = npt.NDArray[np.uint64]

SKETCH_SIZE = 64
_MIN_SHARED = 3
"""Minimum number of shared sketch hashes of a candidate pair. Of the pairs with Jaccard index 0.15,
0.2% share fewer than 3 of 64; with Jaccard index 0.2, 0.01%."""
_SHINGLE = 3
_WORD = re.compile(r"\w+")
_CACHED_WORDS = 1 << 16
_PAIRS_AT_ONCE = 1 << 22
_LOW_32_BITS = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two papers with different titles whose abstracts share much of their wording.

    The paper that was read first comes first. ``similarity`` is the Jaccard index of the abstracts'
    three-word shingles, 0 to 1.
    """

    ids: tuple[str, str]
    titles: tuple[str, str]
    similarity: Probability


def find_near_duplicates(
    papers: Sequence[Paper], *, threshold: float = 0.15, common: int = 50
) -> list[NearDuplicate]:
    """Find pairs of papers that are likely versions of one study, the most similar first.

    Identical abstracts are each paired with the first of them, and only the first is compared with
    other abstracts. Pairs of abstracts of at most :data:`SKETCH_SIZE` shingles are always found,
    others with the probability given at :data:`_MIN_SHARED`. Memory is about 600 bytes a paper.

    Parameters
    ----------
    threshold:
        Minimum Jaccard index. No pair of 210 unrelated abstracts of one field exceeds 0.05, so the
        default finds rewritten abstracts, too.
    common:
        Shingles in more than this many abstracts are set phrases and are ignored. This keeps the
        running time linear in the number of papers.
    """
    sizes, sketches, copies = _sketches(papers)
    similar = []
    for one, other in _candidates(sizes, sketches, threshold, common):
        first, second = _shingles(papers[one]), _shingles(papers[other])
        shared = np.intersect1d(first, second, assume_unique=True)
        if len(shared) >= threshold * (len(first) + len(second) - len(shared)):
            similar.append((one, other, shared))
    set_phrases = _set_phrases(papers, [shared for *_, shared in similar], set(copies), common)
    pairs = [_pair(papers, first, copy, 1.0) for copy, first in copies.items()]
    for one, other, shared in similar:
        count = int((~np.isin(shared, set_phrases)).sum())
        similarity = count / (sizes[one] + sizes[other] - count)
        if similarity >= threshold:
            pairs.append(_pair(papers, one, other, similarity))
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.ids))


def _pair(papers: Sequence[Paper], first: int, second: int, similarity: float) -> NearDuplicate:
    one, other = papers[first], papers[second]
    return NearDuplicate((one.id, other.id), (one.title, other.title), round(similarity, 4))


def _sketches(papers: Sequence[Paper]) -> tuple[array[int], Hashes, dict[int, int]]:
    """Return the number of shingles of each paper, all sketches, and the original of each copy."""
    sizes, sketches = array("q"), array("Q")
    originals: dict[int, int] = {}
    copies: dict[int, int] = {}
    for index, paper in enumerate(papers):
        shingles = _shingles(paper)
        sizes.append(len(shingles))
        if not len(shingles):
            continue
        first = originals.setdefault(hash_of(shingles.tobytes()), index)
        if first != index:
            copies[index] = first
            continue
        # The upper 32 bits of each number are those of the hash, the lower the index of the paper.
        smallest = shingles[:SKETCH_SIZE]
        sketches.frombytes((smallest & ~_LOW_32_BITS | np.uint64(index)).tobytes())
    keys = np.frombuffer(sketches, dtype=np.uint64)
    keys.sort()
    return sizes, keys, copies


def _candidates(
    sizes: array[int], sketches: Hashes, threshold: float, common: int
) -> Iterator[tuple[int, int]]:
    """Yield the index pairs of the papers whose sketches share enough hashes."""
    counts = np.array(sizes)
    # A Jaccard index t of two sets of sizes a and b means a shared part t / (1 + t) of a + b.
    share = threshold / (1 + threshold)
    same = (sketches[1:] ^ sketches[:-1]) <= _LOW_32_BITS
    same = np.concatenate([[False], same, [False]])[: len(sketches) + 1]
    starts = np.flatnonzero(~same[:-1] & same[1:])
    lengths = np.flatnonzero(same[:-1] & ~same[1:]) + 1 - starts
    starts, lengths = starts[lengths <= common], lengths[lengths <= common]
    # Count the pairs of a part of the papers at a time, to bound the memory.
    parts = 1 + int((lengths * (lengths - 1) // 2).sum()) // _PAIRS_AT_ONCE
    for part in range(parts):
        found = [np.zeros(0, dtype=np.uint64)]
        for length in np.unique(lengths).tolist():
            one, other = np.triu_indices(length, 1)
            own = starts[lengths == length]
            step = max(1, _PAIRS_AT_ONCE // len(one))
            for begin in range(0, len(own), step):
                group = sketches[own[begin : begin + step, None] + np.arange(length)]
                group &= _LOW_32_BITS
                pairs = (group[:, one] << np.uint64(32) | group[:, other]).ravel()
                found.append(pairs[(pairs >> np.uint64(32)) % np.uint64(parts) == part])
        pairs, shared = np.unique(np.concatenate(found), return_counts=True)
        firsts = (pairs >> np.uint64(32)).astype(int)
        seconds = (pairs & _LOW_32_BITS).astype(int)
        # The small number guards against rounding errors above a whole number.
        needed = np.ceil(share * (counts[firsts] + counts[seconds]) - 1e-6)
        enough = shared >= np.minimum(needed, _MIN_SHARED)
        yield from zip(firsts[enough].tolist(), seconds[enough].tolist(), strict=True)


def _set_phrases(
    papers: Sequence[Paper], shared: Sequence[Hashes], copies: set[int], common: int
) -> Hashes:
    """Return the shared shingles that occur in more than ``common`` abstracts."""
    if not shared or len(papers) <= common:
        return np.zeros(0, dtype=np.uint64)
    wanted = np.unique(np.concatenate(shared))
    counts = np.zeros(len(wanted), dtype=np.int64)
    for index, paper in enumerate(papers):
        if index not in copies:
            shingles = _shingles(paper)
            positions = np.minimum(np.searchsorted(wanted, shingles), len(wanted) - 1)
            counts[positions[wanted[positions] == shingles]] += 1
    return wanted[counts > common]


def _shingles(paper: Paper) -> Hashes:
    """Return the distinct shingle hashes of an abstract, in ascending order."""
    words = _WORD.findall(paper.abstract.casefold())
    hashes = np.fromiter((_hash_of(word) for word in words), np.uint64, len(words))
    length = max(len(words) - _SHINGLE + 1, 0)
    shingles: Hashes = np.zeros(length, dtype=np.uint64)
    for offset in range(_SHINGLE):
        shingles = _mixed(shingles + hashes[offset : offset + length])
    return np.unique(shingles)


@lru_cache(_CACHED_WORDS)
def _hash_of(word: str) -> int:
    return hash_of(word.encode("utf-8", "surrogatepass"))


def _mixed(values: Hashes) -> Hashes:
    """Mix the bits of 64-bit numbers with the finaliser of SplitMix64 (Steele et al., 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
