"""Identity of papers: find the entries that describe the same paper, and merge them.

Entries that share an id given by the user describe the same paper. So do those that share an
identifier if their titles agree: chapters may have the DOI of their book. So do entries with the
same title, unless they have different identifiers of one kind: two papers may be called
"Introduction".
"""

from __future__ import annotations

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from itertools import combinations
from operator import or_
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from tagger.papers.paper import IDENTIFIER_KINDS, Paper, kind_of_id, paper_id
from tagger.papers.titles import titles_agree

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    Kinds = npt.NDArray[np.uint8]

_KINDS = (*IDENTIFIER_KINDS, "other")
_KEYS_AT_ONCE = 1 << 18
"""Number of keys that are sorted in memory together."""
_MOST_TITLES = 50
"""If entries with a common identifier have more titles, only equal titles are joined."""


def _title_ids(paper: Paper) -> frozenset[str]:
    """Return the ids derived from titles; another paper may have the same."""
    return paper.known_as - paper.unique_ids


def _kinds(paper: Paper) -> int:
    """Return the kinds of the unique ids of a paper as a bit mask."""
    kinds = (1 << _KINDS.index(kind_of_id(name)) for name in paper.unique_ids)
    return reduce(or_, kinds, 0)


class KnownPapers:
    """A set of papers that recognises other entries of its papers.

    An entry without identifier whose title belongs to several papers of the set counts as known;
    :class:`EntryKeys` merges it with none of them.
    """

    def __init__(self, papers: Iterable[Paper]) -> None:
        self._titles_by_id: dict[str, list[str]] = defaultdict(list)
        self._kinds_by_title: dict[str, set[int]] = defaultdict(set)
        for paper in papers:
            for name in paper.unique_ids:
                self._titles_by_id[name].append(paper.title)
            for title in _title_ids(paper):
                self._kinds_by_title[title].add(_kinds(paper))

    def __contains__(self, paper: Paper) -> bool:
        kinds = _kinds(paper)
        return any(
            kind_of_id(name) == "other" or titles_agree(paper.title, title)
            for name in paper.unique_ids
            for title in self._titles_by_id.get(name, ())
        ) or any(
            not kinds & others
            for title in _title_ids(paper)
            for others in self._kinds_by_title.get(title, ())
        )


class Numbering(NamedTuple):
    """The papers that entries describe.

    ``numbers`` is the paper number of each entry, shape (entries,), in order of first entries.
    ``doubtful`` has, for each identifier that several papers share, the numbers of these papers.
    """

    numbers: npt.NDArray[np.int64]
    doubtful: list[list[int]]


class EntryKeys:
    """64-bit hashes of the ids and titles of entries, to number the papers that they describe.

    An identifier joins entries whose titles agree. If they do so only in part (the titles of a book
    and of its chapters), it joins those with equal titles. A title does not join entries if that
    would join two papers with different identifiers of one kind: then the entries known by that
    title alone form a paper of their own. If two titles together would join such papers, neither
    title joins any of these entries. Ids given by the user always join. The result does not depend
    on the order of the entries. The probability that two of a million ids get the same hash is
    below one in ten million.
    """

    def __init__(self) -> None:
        # Pairs of hash and entry, flat.
        self._keys = {name: array("Q") for name in ("own", "identifiers", "titles")}
        self._kinds = bytearray()

    def __len__(self) -> int:
        return len(self._kinds)

    def adding(self, papers: Iterable[Paper]) -> Iterator[Paper]:
        """Yield papers and add each as an entry."""
        for paper in papers:
            self.add(paper)
            yield paper

    def add(self, paper: Paper) -> None:
        """Add the keys of one more entry."""
        entry, titles = len(self._kinds), list(_title_ids(paper))
        identifiers = set(paper.identifiers)
        own = (paper.unique_ids - identifiers) or (() if identifiers else titles)
        # The id of the title itself comes last, because ``number`` compares titles by the last id.
        titles = sorted(titles, key=paper_id(paper.title).__eq__)
        for keys, names in zip(self._keys.values(), (own, identifiers, titles), strict=True):
            for name in names:
                keys.extend((hash_of(name.encode("utf-8", "surrogatepass")), entry))
        self._kinds.append(_kinds(paper))

    def save(self, file: BinaryIO) -> None:
        """Write the keys to a file that :meth:`load` reads."""
        import numpy as np

        kinds = np.frombuffer(bytes(self._kinds), dtype=np.uint8)
        keys: dict[str, Any] = {name: np.array(each) for name, each in self._keys.items()}
        np.savez(file, kinds=kinds, **keys)

    def load(self, path: Path) -> None:
        """Add the entries written by :meth:`save`."""
        import numpy as np

        with np.load(path) as file:
            for name, keys in self._keys.items():
                loaded = file[name].astype(np.uint64)
                loaded[1::2] += np.uint64(len(self._kinds))
                keys.frombytes(loaded.tobytes())
            self._kinds += file["kinds"].tobytes()

    def number(self, title_of: Callable[[int], str]) -> Numbering:
        """Number the papers; ``title_of`` returns the title of an entry.

        It is called only for entries that share an identifier and have different titles.
        """
        import numpy as np

        # Union-find with path halving (Tarjan and van Leeuwen, 1984).
        groups, by_title = (array("q", range(len(self._kinds))) for _ in range(2))
        titles = np.zeros(len(self._kinds), dtype=np.uint64)
        hashes, entries_of = np.frombuffer(self._keys["titles"], dtype=np.uint64).reshape(-1, 2).T
        titles[entries_of.astype(np.int64)] = hashes
        every = np.arange(len(self._kinds))
        for entries in _groups_by_key(self._keys["own"], every):
            _join(groups, entries)
        for entries in _groups_by_key(self._keys["identifiers"], every):
            for members in _same_work(entries, titles[entries].tolist(), title_of):
                _join(groups, members)
        roots = _roots(groups)
        kinds = np.zeros(len(self._kinds), dtype=np.uint8)
        np.bitwise_or.at(kinds, roots, np.frombuffer(self._kinds, dtype=np.uint8))
        joined: set[int] = set()
        for same_title in _groups_by_key(self._keys["titles"], roots):
            for members in _unambiguous(same_title, kinds):
                joined.update(members)
                _join(by_title, members)
        clusters: dict[int, list[int]] = defaultdict(list)
        for group in joined:
            clusters[_find(by_title, group)].append(group)
        for members in clusters.values():
            if _share_no_kind(members, kinds):
                _join(groups, members)
        # The root of a group is its first entry, so sorting by root gives the order of entries.
        numbers = np.unique(_roots(groups), return_inverse=True)[1]
        return Numbering(numbers, list(_groups_by_key(self._keys["identifiers"], numbers)))


def number_papers(papers: Iterable[Paper]) -> npt.NDArray[np.int64]:
    """Number the papers that entries describe, as :meth:`EntryKeys.number` does."""
    return _number(list(papers)).numbers


def group_entries(papers: Iterable[Paper]) -> list[list[int]]:
    """Return the indices of the entries of each paper, papers in order of their first entries."""
    return _group(number_papers(papers))


def merge_duplicates(papers: Iterable[Paper]) -> list[Paper]:
    """Merge the entries of each paper; papers keep the order of their first entries."""
    entries = list(papers)
    numbers, doubtful = _number(entries)
    shared = {number for group in doubtful for number in group}
    return [
        merge_entries([entries[index] for index in group], shares_id=number in shared)
        for number, group in enumerate(_group(numbers))
    ]


def merge_entries(entries: Sequence[Paper], *, shares_id: bool = False) -> Paper:
    """Merge entries of one paper: first title, longest abstract, all sources and identifiers.

    With ``shares_id``, another paper has one of the identifiers, so the id is made from it and the
    title.
    """
    identifiers = dict.fromkeys(name for entry in entries for name in entry.identifiers)
    custom = [entry.id for entry in entries if kind_of_id(entry.id) == "other"]
    merged = replace(
        entries[0],
        abstract=max((entry.abstract for entry in entries), key=len),
        sources=tuple(dict.fromkeys(source for entry in entries for source in entry.sources)),
        # If there are identifiers, Paper takes the first of them as id.
        id="" if identifiers else (custom or [entries[0].id])[0],
        identifiers=tuple(identifiers),
    )
    return replace(merged, id=paper_id(f"{merged.title} {merged.id}")) if shares_id else merged


def _number(papers: Sequence[Paper]) -> Numbering:
    keys = EntryKeys()
    for paper in papers:
        keys.add(paper)
    return keys.number(lambda index: papers[index].title)


def _group(numbers: npt.NDArray[np.int64]) -> list[list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for index, number in enumerate(numbers.tolist()):
        groups[number].append(index)
    return list(groups.values())


def hash_of(content: bytes) -> int:
    """Return a 64-bit hash (BLAKE2b) as a number."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _groups_by_key(keys: array[int], groups: npt.NDArray[np.int64]) -> Iterator[list[int]]:
    """Yield, for each key of several groups, these groups; ``groups`` has shape (entries,)."""
    import numpy as np

    hashes, entries = np.frombuffer(keys, dtype=np.uint64).reshape(-1, 2).T
    parts = 1 + len(hashes) // _KEYS_AT_ONCE
    for part in range(parts):
        chosen = np.flatnonzero(hashes % np.uint64(parts) == part)
        own = groups[entries[chosen].astype(np.int64)]
        pairs = np.column_stack([hashes[chosen], own.astype(np.uint64)])
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        pairs = pairs[np.append(True, (pairs[1:] != pairs[:-1]).any(axis=1))[: len(pairs)]]
        ends = np.flatnonzero(np.append(pairs[1:, 0] != pairs[:-1, 0], True)[: len(pairs)]) + 1
        starts = np.append(0, ends[:-1])[: len(ends)]
        several = ends - starts > 1
        for start, end in zip(starts[several].tolist(), ends[several].tolist(), strict=True):
            yield pairs[start:end, 1].tolist()


def _same_work(
    entries: Sequence[int], hashes: Sequence[int], title_of: Callable[[int], str]
) -> Iterator[list[int]]:
    """Yield the sets of entries with one identifier whose titles, with ``hashes``, agree."""
    by_title: dict[int, list[int]] = defaultdict(list)
    for entry, title in zip(entries, hashes, strict=True):
        by_title[title].append(entry)
    same = list(by_title.values())
    if 1 < len(same) <= _MOST_TITLES:
        titles = [title_of(members[0]) for members in same]
        clusters = array("q", range(len(same)))
        agreeing = {
            pair
            for pair in combinations(range(len(same)), 2)
            if titles_agree(titles[pair[0]], titles[pair[1]])
        }
        for pair in agreeing:
            _join(clusters, pair)
        for cluster in _group(_roots(clusters)):
            if agreeing.issuperset(combinations(cluster, 2)):
                yield [entry for index in cluster for entry in same[index]]
    yield from same


def _unambiguous(groups: Iterable[int], kinds: Kinds) -> Iterator[list[int]]:
    """Yield the sets of groups with one title in which no two have a kind in common."""
    # There are at most 128 bit masks, so the time does not grow with the square of the groups.
    by_kinds: dict[int, list[int]] = defaultdict(list)
    for group in groups:
        by_kinds[int(kinds[group])].append(group)
    clusters: list[set[int]] = []
    for mask in by_kinds:
        compatible = [cluster for cluster in clusters if any(not mask & other for other in cluster)]
        clusters = [cluster for cluster in clusters if cluster not in compatible]
        clusters.append({mask}.union(*compatible))
    for cluster in clusters:
        members = [group for mask in cluster for group in by_kinds[mask]]
        if _share_no_kind(members, kinds):
            yield members


def _share_no_kind(groups: Iterable[int], kinds: Kinds) -> bool:
    masks = [int(kinds[group]) for group in groups]
    return sum(masks) == reduce(or_, masks, 0)


def _find(parents: array[int], number: int) -> int:
    """Return the root of a number, the least member of its set; shortens the path to it."""
    while parents[number] != number:
        parents[number] = number = parents[parents[number]]
    return number


def _join(parents: array[int], numbers: Sequence[int]) -> None:
    for number in numbers[1:]:
        one, other = _find(parents, number), _find(parents, numbers[0])
        parents[max(one, other)] = min(one, other)


def _roots(parents: array[int]) -> npt.NDArray[np.int64]:
    import numpy as np

    return np.array([_find(parents, number) for number in range(len(parents))], dtype=np.int64)
