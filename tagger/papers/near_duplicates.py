"""Which papers look like versions of one study: pairs whose abstracts share much of their wording.

Every abstract is a set of shingles, three words each, known by a hash. Only a sketch of each is
compared with those of others, its :data:`SKETCH_SIZE` least hashes; a pair whose sketches have
some in common is then compared as a whole. Shingles, their resemblance, and sketches of the least
hashes are those of Broder, "On the resemblance and containment of documents" (1997).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tagger.papers.paper import Paper, hash_of
from tagger.papers.tagged_paper import Probability

Hashes = npt.NDArray[np.uint64]

SKETCH_SIZE = 64
_ENOUGH = 3
"""Least number of shared hashes for a candidate pair. Of pairs with a share s of shingles in common
0.2% have fewer than 3 of 64 at s = 0.15, 0.01% at 0.2."""
_SHINGLE = 3
_WORD = re.compile(r"\w+")
_WORDS_KNOWN = 1 << 16
_PAIRS_AT_ONCE = 1 << 22
_LOW = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two papers under different titles whose abstracts share much of their wording.

    The one that was read first comes first. The similarity is the Jaccard index of the abstracts'
    three-word shingles, 0 to 1.
    """

    ids: tuple[str, str]
    titles: tuple[str, str]
    similarity: Probability


def find_near_duplicates(
    papers: Sequence[Paper], *, threshold: float = 0.15, common: int = 50
) -> list[NearDuplicate]:
    """Find pairs of papers that are likely versions of one study.

    On 210 unrelated abstracts of one field no pair passes 0.05, so the default leaves room for
    rewritten abstracts. Abstracts of no more than :data:`SKETCH_SIZE` shingles are never missed,
    others seldom, see :data:`_ENOUGH`. Copies of one abstract are each paired with the first of
    them, which alone is compared with other abstracts. A shingle that stands in more than
    ``common`` abstracts is set phrase, not evidence, and is passed over, which also keeps the work
    linear in the number of papers. Some 600 bytes a paper are in memory. The most alike pair comes
    first.
    """
    sizes, sketches, copies = _sketches(papers)
    alike = []
    for one, other in _candidates(sizes, sketches, threshold, common):
        first, second = _shingles(papers[one]), _shingles(papers[other])
        shared = np.intersect1d(first, second, assume_unique=True)
        if len(shared) >= threshold * (len(first) + len(second) - len(shared)):
            alike.append((one, other, shared))
    set_phrases = _set_phrases(papers, [shared for *_, shared in alike], set(copies), common)
    pairs = [_pair(papers, first, copy, 1.0) for copy, first in copies.items()]
    for one, other, shared in alike:
        count = int((~np.isin(shared, set_phrases)).sum())
        similarity = count / (sizes[one] + sizes[other] - count)
        if similarity >= threshold:
            pairs.append(_pair(papers, one, other, similarity))
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.ids))


def _pair(papers: Sequence[Paper], first: int, second: int, similarity: float) -> NearDuplicate:
    one, other = papers[first], papers[second]
    return NearDuplicate((one.id, other.id), (one.title, other.title), round(similarity, 4))


def _sketches(papers: Sequence[Paper]) -> tuple[array[int], Hashes, dict[int, int]]:
    """Return the number of shingles of each paper, sketches, and copies with their originals."""
    sizes, sketches = array("q"), array("Q")
    originals: dict[int, int] = {}
    copies: dict[int, int] = {}
    for place, paper in enumerate(papers):
        shingles = _shingles(paper)
        sizes.append(len(shingles))
        if not len(shingles):
            continue
        first = originals.setdefault(hash_of(shingles.tobytes()), place)
        if first != place:
            copies[place] = first
            continue
        # The upper half of each number is a hash, cut to 32 bits, the lower is the paper.
        least = shingles[:SKETCH_SIZE]
        sketches.frombytes((least & ~_LOW | np.uint64(place)).tobytes())
    keys = np.frombuffer(sketches, dtype=np.uint64)
    keys.sort()
    return sizes, keys, copies


def _candidates(
    sizes: array[int], sketches: Hashes, threshold: float, common: int
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of papers whose sketches have enough hashes in common."""
    counts = np.array(sizes)
    # Two sets of a and b shingles need to share so large a part of a + b for this Jaccard index.
    share = threshold / (1 + threshold)
    same = (sketches[1:] ^ sketches[:-1]) <= _LOW
    same = np.concatenate([[False], same, [False]])[: len(sketches) + 1]
    starts = np.flatnonzero(~same[:-1] & same[1:])
    lengths = np.flatnonzero(same[:-1] & ~same[1:]) + 1 - starts
    starts, lengths = starts[lengths <= common], lengths[lengths <= common]
    # Pairs are counted for some of the papers at a time, so that memory is bounded.
    parts = 1 + int((lengths * (lengths - 1) // 2).sum()) // _PAIRS_AT_ONCE
    for part in range(parts):
        found = [np.zeros(0, dtype=np.uint64)]
        for length in np.unique(lengths).tolist():
            one, other = np.triu_indices(length, 1)
            own = starts[lengths == length]
            step = max(1, _PAIRS_AT_ONCE // len(one))
            for begin in range(0, len(own), step):
                group = sketches[own[begin : begin + step, None] + np.arange(length)] & _LOW
                pairs = (group[:, one] << np.uint64(32) | group[:, other]).ravel()
                found.append(pairs[(pairs >> np.uint64(32)) % np.uint64(parts) == part])
        pairs, shared = np.unique(np.concatenate(found), return_counts=True)
        firsts, seconds = (pairs >> np.uint64(32)).astype(int), (pairs & _LOW).astype(int)
        # Less a little, for what is a whole number but for rounding.
        needed = np.ceil(share * (counts[firsts] + counts[seconds]) - 1e-6)
        enough = shared >= np.minimum(needed, _ENOUGH)
        yield from zip(firsts[enough].tolist(), seconds[enough].tolist(), strict=True)


def _set_phrases(
    papers: Sequence[Paper], shared: Sequence[Hashes], copies: set[int], common: int
) -> Hashes:
    """Return those of the shared shingles that more than ``common`` abstracts have."""
    if not shared or len(papers) <= common:
        return np.zeros(0, dtype=np.uint64)
    wanted = np.unique(np.concatenate(shared))
    counts = np.zeros(len(wanted), dtype=np.int64)
    for place, paper in enumerate(papers):
        if place not in copies:
            shingles = _shingles(paper)
            places = np.minimum(np.searchsorted(wanted, shingles), len(wanted) - 1)
            counts[places[wanted[places] == shingles]] += 1
    return wanted[counts > common]


def _shingles(paper: Paper) -> Hashes:
    """Return the hashes of the shingles of an abstract, each once, least first."""
    words = _WORD.findall(paper.abstract.casefold())
    hashes = np.fromiter((_hash_of(word) for word in words), np.uint64, len(words))
    length = max(len(words) - _SHINGLE + 1, 0)
    shingles: Hashes = np.zeros(length, dtype=np.uint64)
    for offset in range(_SHINGLE):
        shingles = _mixed(shingles + hashes[offset : offset + length])
    return np.unique(shingles)


@lru_cache(_WORDS_KNOWN)
def _hash_of(word: str) -> int:
    return hash_of(word.encode("utf-8", "surrogatepass"))


def _mixed(values: Hashes) -> Hashes:
    """Scatter numbers over all of 64 bits: the finaliser of SplitMix64 (Steele et al., 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
