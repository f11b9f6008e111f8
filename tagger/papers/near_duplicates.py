"""Find near duplicates: pairs of papers whose abstracts share much of their wording.

An abstract is a set of hashed three-word shingles. Its sketch is the :data:`SKETCH_SIZE` smallest
hashes. Pairs whose sketches share enough hashes are candidates, and are compared in full. Shingles,
resemblance and sketches follow Broder, "On the resemblance and containment of documents" (1997).
"""

from __future__ import annotations

import re
import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger._util.atomic import replacing_bytes
from tagger.papers.identity import hash_of
from tagger.papers.paper import Paper
from tagger.papers.spool import MapFunction
from tagger.papers.tagged_paper import Probability

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

SKETCH_SIZE = 64
_MIN_SHARED = 3
"""Minimum number of shared sketch hashes of a candidate pair. Of the pairs with Jaccard index 0.15,
0.2% share fewer than 3 of 64; with Jaccard index 0.2, 0.01%."""
_THRESHOLD = 0.15
"""Minimum Jaccard index. No pair of 210 unrelated abstracts of one field exceeds 0.05, so rewritten
abstracts are found, too."""
_COMMON = 50
"""Shingles in more than this many abstracts are set phrases and are ignored. This keeps the running
time linear in the number of papers."""
_SHINGLE = 3
_WORD = re.compile(r"\w+")
_CACHED_WORDS = 1 << 16
_PAPERS_AT_ONCE = 8192
_KEYS_AT_ONCE = 1 << 19
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


@dataclass(frozen=True, slots=True)
class LookAlikes:
    """A group of near duplicates: titles by id, and the range of similarities, ``0.15 to 0.80``."""

    titles: dict[str, str]
    similarity: str


def group_near_duplicates(pairs: Iterable[NearDuplicate]) -> list[LookAlikes]:
    """Join pairs that share a paper into groups, in the order of their first pairs."""
    groups: dict[str, list[NearDuplicate]] = {}
    for pair in pairs:
        one, other = (groups.get(paper, []) for paper in pair.ids)
        short, long = ([], one) if one is other else sorted((one, other), key=len)
        joined = [*short, pair]
        long += joined
        groups |= {paper: long for each in joined for paper in each.ids}
    found = []
    for group in {id(group): group for group in groups.values()}.values():
        titles = (one for pair in group for one in zip(pair.ids, pair.titles, strict=True))
        alike = sorted(f"{pair.similarity:.2f}" for pair in group)
        found.append(LookAlikes(dict(titles), " to ".join(dict.fromkeys((alike[0], alike[-1])))))
    return found


def find_near_duplicates(
    papers: Sequence[Paper], *, folder: Path | None = None, each: MapFunction = map
) -> list[NearDuplicate]:
    """Find pairs of papers that are likely versions of one study, the most similar first.

    Identical abstracts are each paired with the first of them, and only the first is compared with
    other abstracts. Pairs of abstracts of at most :data:`SKETCH_SIZE` shingles are always found,
    others with the probability given at :data:`_MIN_SHARED`. Sketches and candidate pairs are on
    disk, about 600 bytes a paper; 32 bytes a paper are in memory.

    Parameters
    ----------
    folder:
        Folder for sketches and pairs of one list of papers; by default a temporary folder.
    each:
        Function like ``map`` that runs the steps, see :func:`tagger.papers.collect_papers`.
    """
    with tempfile.TemporaryDirectory(prefix="tagger-", ignore_cleanup_errors=True) as scratch:
        search = _Search(papers, folder or Path(scratch))
        search.folder.mkdir(parents=True, exist_ok=True)
        chunks = range(-(-len(papers) // _PAPERS_AT_ONCE))
        list(each(search.sketch, chunks))
        sizes, copies = search.find_copies(chunks)
        list(each(search.pair, range(_parts(search.folder, "sketch"))))
        list(each(search.compare, range(_parts(search.folder, "pairs"))))
        shared_shingles = [np.load(path)["shared"] for path in search.files("similar")]
        set_phrases = np.zeros(0, dtype=np.uint64)
        if sum(map(len, shared_shingles)) and len(papers) > _COMMON:
            wanted = np.unique(np.concatenate(shared_shingles))
            _save(search.folder / "wanted.npy", wanted)
            counts = np.zeros(len(wanted), dtype=np.int64)
            for places, found in each(search.count, chunks):
                counts[places] += found
            set_phrases = wanted[counts > _COMMON]
        pairs = [_pair(papers, first, copy, 1.0) for copy, first in copies.items()]
        for one, other, shared in search.similar_pairs():
            count = int((~np.isin(shared, set_phrases)).sum())
            similarity = count / (int(sizes[one] + sizes[other]) - count)
            if similarity >= _THRESHOLD:
                pairs.append(_pair(papers, one, other, similarity))
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.ids))


def sketch_of(paper: Paper) -> bytes:
    """Return the sketch of an abstract: the upper 32 bits of its smallest shingle hashes."""
    return (_shingles(paper)[:SKETCH_SIZE] >> np.uint64(32)).astype(np.uint32).tobytes()


def likely_near_duplicates(new: Mapping[str, bytes], known: Mapping[str, bytes]) -> set[str]:
    """Return the ids of known papers whose sketches share enough hashes with that of a new one."""
    hashes = np.frombuffer(b"".join(known.values()), dtype=np.uint32)
    owners = [name for name, sketch in known.items() for _ in range(len(sketch) // 4)]
    new_by_hash = defaultdict(list)
    for name, sketch in new.items():
        for key in np.frombuffer(sketch, dtype=np.uint32).tolist():
            new_by_hash[key].append(name)
    found = np.flatnonzero(np.isin(hashes, np.array([*new_by_hash], dtype=np.uint32)))
    shared = [(owners[place], int(hashes[place])) for place in found.tolist()]
    counts = Counter(key for _, key in shared)
    pairs = Counter((o, n) for o, key in shared if counts[key] <= _COMMON for n in new_by_hash[key])
    return {name for (name, _), count in pairs.items() if count >= _MIN_SHARED}


@dataclass
class _Search:
    """The steps of a search; the results of each step are stored in ``folder`` and reused."""

    papers: Sequence[Paper]
    folder: Path

    def sketch(self, chunk: int) -> None:
        """Store the sketches of a chunk of papers, and the number and hash of their shingles."""
        path, totals = (self.folder / f"{name}-{chunk:06d}.npy" for name in ("sketch", "totals"))
        if path.exists():
            return
        sketches, sizes = array("Q"), array("Q")
        for index in self._indices(chunk):
            shingles = _shingles(self.papers[index])
            sizes.extend((len(shingles), hash_of(shingles.tobytes())))
            # The upper 32 bits of each number are those of the hash, the lower the index of the
            # paper.
            smallest = shingles[:SKETCH_SIZE]
            sketches.frombytes((smallest & ~_LOW_32_BITS | np.uint64(index)).tobytes())
        _save(totals, np.array(sizes, dtype=np.uint64).reshape(-1, 2))
        _save(path, np.sort(np.array(sketches, dtype=np.uint64)))

    def find_copies(self, chunks: range) -> tuple[Indices, dict[int, int]]:
        """Return the number of shingles of each paper, shape (papers,), and the original by copy.

        The number is 0 for copies, which are not compared.
        """
        totals = [np.load(path) for path in self.files("totals")]
        sizes, hashes = np.concatenate([np.zeros((0, 2), dtype=np.uint64), *totals]).T
        firsts, originals = np.unique(hashes, return_index=True, return_inverse=True)[1:]
        firsts = firsts[originals]
        copies = np.flatnonzero((firsts != np.arange(len(firsts))) & (sizes > 0))
        kept = sizes.astype(np.int64)
        kept[copies] = 0
        _save(self.folder / "sizes.npy", kept)
        return kept, dict(zip(copies.tolist(), firsts[copies].tolist(), strict=True))

    def pair(self, part: int) -> None:
        """Store the pairs of papers that share a sketch hash, for one part of the hashes."""
        path = self.folder / f"pairs-{part:06d}.npy"
        if path.exists():
            return
        keys = self._gathered("sketch", part, 1 << 64)
        keys = np.sort(keys[self._sizes()[(keys & _LOW_32_BITS).astype(np.int64)] > 0])
        same = np.zeros(len(keys) + 1, dtype=bool)
        same[1:-1] = (keys[1:] ^ keys[:-1]) <= _LOW_32_BITS
        starts = np.flatnonzero(~same[:-1] & same[1:])
        lengths = np.flatnonzero(same[:-1] & ~same[1:]) + 1 - starts
        found: list[Hashes] = [np.zeros(0, dtype=np.uint64)]
        for length in np.unique(lengths[lengths <= _COMMON]).tolist():
            one, other = np.triu_indices(length, 1)
            group = keys[starts[lengths == length, None] + np.arange(length)] & _LOW_32_BITS
            found.append((group[:, one] << np.uint64(32) | group[:, other]).ravel())
        _save(path, np.sort(np.concatenate(found)))

    def compare(self, part: int) -> None:
        """Compare in full the pairs whose sketches share enough hashes, for one part of them."""
        path = self.folder / f"similar-{part:06d}.npz"
        if path.exists():
            return
        pairs, shared = np.unique(
            self._gathered("pairs", part, len(self.papers) << 32), return_counts=True
        )
        firsts, seconds = (pairs >> np.uint64(32)).astype(int), (pairs & _LOW_32_BITS).astype(int)
        # A Jaccard index t of two sets of sizes a and b means a shared part t / (1 + t) of a + b.
        # The small number guards against rounding errors above a whole number.
        share, sizes = _THRESHOLD / (1 + _THRESHOLD), self._sizes()
        needed = np.ceil(share * (sizes[firsts] + sizes[seconds]) - 1e-6)
        enough = shared >= np.minimum(needed, _MIN_SHARED)
        found = list[tuple[int, int, int]]()
        parts: list[Hashes] = [np.zeros(0, dtype=np.uint64)]
        for one, other in zip(firsts[enough].tolist(), seconds[enough].tolist(), strict=True):
            first, second = _shingles(self.papers[one]), _shingles(self.papers[other])
            both = np.intersect1d(first, second, assume_unique=True)
            if len(both) >= _THRESHOLD * (len(first) + len(second) - len(both)):
                found.append((one, other, len(both)))
                parts.append(both)
        with replacing_bytes(path) as file:
            np.savez(file, pairs=np.array(found).reshape(-1, 3), shared=np.concatenate(parts))

    def count(self, chunk: int) -> tuple[Indices, Indices]:
        """Return the indices of the wanted shingles in a chunk, and the number of papers with each.

        Both have shape (shingles found,).
        """
        wanted = np.load(self.folder / "wanted.npy")
        counts = np.zeros(len(wanted), dtype=np.int64)
        sizes = self._sizes()
        for index in self._indices(chunk):
            if sizes[index]:
                shingles = _shingles(self.papers[index])
                positions = np.minimum(np.searchsorted(wanted, shingles), len(wanted) - 1)
                counts[positions[wanted[positions] == shingles]] += 1
        found = np.flatnonzero(counts)
        return found, counts[found]

    def similar_pairs(self) -> Iterator[tuple[int, int, Hashes]]:
        """Yield the indices of the similar pairs, with the shingles that they share."""
        for path in self.files("similar"):
            with np.load(path) as file:
                pairs, shared = file["pairs"], file["shared"]
            ends = np.cumsum(pairs[:, 2])
            for (one, other, count), end in zip(pairs.tolist(), ends.tolist(), strict=True):
                yield one, other, shared[end - count : end]

    def files(self, name: str) -> list[Path]:
        return sorted(self.folder.glob(f"{name}-*.np[yz]"))

    def _indices(self, chunk: int) -> range:
        return range(len(self.papers))[chunk * _PAPERS_AT_ONCE :][:_PAPERS_AT_ONCE]

    def _sizes(self) -> Indices:
        sizes: Indices = np.load(self.folder / "sizes.npy")
        return sizes

    def _gathered(self, name: str, part: int, end: int) -> Hashes:
        """Return the numbers of one part from sorted files, whose numbers are below ``end``."""
        parts = _parts(self.folder, name)
        limits = [min(end * each // parts, (1 << 64) - 1) for each in (part, part + 1)]
        # Numbers with the same upper 32 bits belong to the same part.
        low, high = (np.uint64(limit & ~int(_LOW_32_BITS)) for limit in limits)
        found: list[Hashes] = [np.zeros(0, dtype=np.uint64)]
        for path in self.files(name):
            numbers = np.load(path, mmap_mode="r" if path.stat().st_size > 128 else None)
            start, stop = np.searchsorted(numbers, [low, high])
            found.append(np.array(numbers[start : stop if part + 1 < parts else None]))
        return np.concatenate(found)


def _parts(folder: Path, name: str) -> int:
    """Return the number of parts into which to split the files, so that each fits into memory."""
    size = sum(path.stat().st_size for path in folder.glob(f"{name}-*.npy"))
    return 1 + size // (8 * _KEYS_AT_ONCE)


def _save(path: Path, values: npt.NDArray[Any]) -> None:
    with replacing_bytes(path) as file:
        np.save(file, values)


def _pair(papers: Sequence[Paper], first: int, second: int, similarity: float) -> NearDuplicate:
    one, other = papers[first], papers[second]
    return NearDuplicate((one.id, other.id), (one.title, other.title), round(similarity, 4))


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
