"""A paper, and what makes two entries the same paper."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    Kinds = npt.NDArray[np.uint8]

IDENTIFIER_KINDS = ("doi", "arxiv", "pmid")
"""Kinds of identifiers, the one that serves best as an identity first."""
_KINDS = (*IDENTIFIER_KINDS, "other")
_TITLE_MARK = "t-"
_NOT_A_WORD = re.compile(r"[\W_]+")


def paper_id(title: str) -> str:
    """Return the identity of a paper that is known by its title alone.

    Case, spacing, punctuation and Unicode form do not count, so that the same title typeset in
    two ways is one paper.

    It is ``"t-"`` and 16 hexadecimal digits of the SHA-256 of the normalised title.
    """
    normal = unicodedata.normalize("NFKC", title).casefold()
    key = _NOT_A_WORD.sub("", normal) or normal
    return _TITLE_MARK + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Paper:
    """One paper: what a tag is given to.

    Parameters
    ----------
    title, abstract:
        Clean text, one line each. The abstract may be empty.
    sources:
        Names of the files that the paper stood in, in the order of reading.
    id:
        Identity. Where none is given, the first identifier, or made from the title by
        :func:`paper_id` if there is none.
    identifiers:
        As :mod:`tagger.readers.identifiers` writes them, ``doi:10.1234/abc``,
        ``arxiv:2101.00001`` or ``pmid:123``; kept in this order of kinds, each once. An ``id``
        that is an identifier is one of them.

    Raises
    ------
    ValueError
        If an identifier is of no such kind.
    """

    title: str
    abstract: str
    sources: tuple[str, ...] = ()
    id: str = field(default="")
    identifiers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        own = (self.id,) if _kind(self.id) in IDENTIFIER_KINDS else ()
        identifiers = sorted(
            dict.fromkeys(own + self.identifiers),
            key=lambda name: IDENTIFIER_KINDS.index(_kind(name)),
        )
        object.__setattr__(self, "identifiers", tuple(identifiers))
        if not self.id:
            name = identifiers[0] if identifiers else paper_id(self.title)
            object.__setattr__(self, "id", name)

    @property
    def known_as(self) -> frozenset[str]:
        """Every id that the paper may go by: its own, its identifiers, that of its title."""
        return frozenset((self.id, *self.identifiers, paper_id(self.title)))

    @property
    def text(self) -> str:
        """Title and abstract as one text, the form in which every encoder sees a paper.

        Halves of surrogate pairs, which JSON may hold, are no text to an encoder: they become '?'.
        """
        title = self.title.rstrip()
        stop = "" if not title or title.endswith((".", "?", "!")) else "."
        text = f"{title}{stop} {self.abstract}".strip()
        return text.encode("utf-8", "replace").decode("utf-8")


def _kind(name: str) -> str:
    """Return the kind of an id: doi, arxiv, pmid, ``title``, or ``other`` for one of a user."""
    if name.startswith(_TITLE_MARK):
        return "title"
    kind = name.partition(":")[0]
    return kind if kind in IDENTIFIER_KINDS else "other"


def _names(paper: Paper) -> frozenset[str]:
    """Return the ids that belong to this paper alone."""
    return frozenset(
        name for name in (paper.id, *paper.identifiers) if not name.startswith(_TITLE_MARK)
    )


def _titles(paper: Paper) -> frozenset[str]:
    """Return the ids of its titles; another paper may have the same."""
    return paper.known_as - _names(paper)


def _kinds(paper: Paper) -> int:
    """Return the kinds of the ids that belong to this paper alone, a bit each."""
    bits = 0
    for name in _names(paper):
        bits |= 1 << _KINDS.index(_kind(name))
    return bits


class KnownPapers:
    """Papers that are known, to tell whether an entry speaks of one of them.

    It does if they share an identifier, or a title unless both have an identifier of one kind
    that differs: two papers may be called "Introduction". An entry that may be either of two such
    papers, having no identifier, is known, since it may be one of these; :func:`number_papers`
    joins it with neither, since it cannot tell with which.
    """

    def __init__(self, papers: Iterable[Paper]) -> None:
        self._names: set[str] = set()
        self._kinds_by_title: dict[str, set[int]] = defaultdict(set)
        for paper in papers:
            self._names |= _names(paper)
            for title in _titles(paper):
                self._kinds_by_title[title].add(_kinds(paper))

    def __contains__(self, paper: Paper) -> bool:
        if not self._names.isdisjoint(_names(paper)):
            return True
        kinds = _kinds(paper)
        return any(
            not kinds & others
            for title in _titles(paper)
            for others in self._kinds_by_title.get(title, ())
        )


class EntryKeys:
    """What tells which entries speak of one paper: hashes of their names, 64 bits each.

    Entries that share an identifier speak of one, and so do entries of one title, unless that would
    join two that have an identifier of one kind each: then it cannot be told which of them is
    meant, and entries known by that title alone stay a paper of their own. The same holds where two
    titles join what neither would alone: then none of these entries is joined by title. What is
    joined does not depend on the order of entries.

    An entry takes 16 bytes for each name and title. Two names of a million are taken for one with a
    probability below one in ten million.

    Parameters
    ----------
    names, titles:
        Hash and entry of each name and each title, flat.
    kinds:
        Per entry, the kinds of its identifiers, a bit each.
    """

    def __init__(self, names: bytes = b"", titles: bytes = b"", kinds: bytes = b"") -> None:
        self._names, self._titles = array("Q", names), array("Q", titles)
        self._kinds = bytearray(kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, paper: Paper) -> None:
        """Add an entry."""
        entry, own, called = len(self), _names(paper), _titles(paper)
        for name in own or called:
            self._names.extend((_hash(name), entry))
        for name in called:
            self._titles.extend((_hash(name), entry))
        self._kinds.append(_kinds(paper))

    def extend(self, other: EntryKeys) -> None:
        """Add the entries of another."""
        import numpy as np

        for ours, theirs in ((self._names, other._names), (self._titles, other._titles)):
            moved = np.array(theirs, dtype=np.uint64)
            moved[1::2] += np.uint64(len(self))
            ours.frombytes(moved.tobytes())
        self._kinds += other._kinds

    def save(self, file: BinaryIO) -> None:
        """Write them as NumPy arrays, for :meth:`load`."""
        import numpy as np

        content = (self._names, self._titles, self._kinds)
        np.savez(file, *(np.frombuffer(bytes(part), dtype=np.uint8) for part in content))

    @classmethod
    def load(cls, path: Path) -> EntryKeys:
        """Read what :meth:`save` wrote."""
        import numpy as np

        with np.load(path) as file:
            return cls(*(file[f"arr_{n}"].tobytes() for n in range(3)))

    def number(self) -> npt.NDArray[np.int64]:
        """Say for each entry of which paper it speaks.

        Returns
        -------
        array
            The numbers of the papers, counted from 0 in the order of their first entries, shape
            (entries,).
        """
        import numpy as np

        groups = _DisjointSets(len(self))
        for entries in _sharing(self._names, np.arange(len(self))):
            for entry in entries[1:]:
                groups.join(entry, entries[0])
        roots = groups.roots()
        of_group = np.zeros(len(self), dtype=np.uint8)
        np.bitwise_or.at(of_group, roots, np.frombuffer(self._kinds, dtype=np.uint8))
        by_title = _DisjointSets(len(self))
        joined: set[int] = set()
        for alike in _sharing(self._titles, roots):
            for members in _unambiguous(alike, of_group):
                joined.update(members)
                for group in members[1:]:
                    by_title.join(group, members[0])
        clusters: dict[int, list[int]] = defaultdict(list)
        for group in joined:
            clusters[by_title.find(group)].append(group)
        for members in clusters.values():
            if _differ_in_kinds(members, of_group):
                for group in members[1:]:
                    groups.join(group, members[0])
        # A group is known by its first entry, so they come in the order of these.
        return np.unique(groups.roots(), return_inverse=True)[1]


def number_papers(papers: Iterable[Paper]) -> npt.NDArray[np.int64]:
    """Say for each entry of which paper it speaks, see :class:`EntryKeys`."""
    keys = EntryKeys()
    for paper in papers:
        keys.add(paper)
    return keys.number()


def group_entries(papers: Iterable[Paper]) -> list[list[int]]:
    """Group entries that speak of one paper: their places, papers in the order of first entries."""
    groups: dict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(number_papers(papers).tolist()):
        groups[number].append(place)
    return list(groups.values())


def _hash(name: str) -> int:
    content = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _sharing(keys: array[int], groups: npt.NDArray[np.int64]) -> Iterator[list[int]]:
    """Yield the groups of entries that have a name in common with another, name by name."""
    import numpy as np

    hashes, entries = np.frombuffer(keys, dtype=np.uint64).reshape(-1, 2).T
    own = groups[entries.astype(np.int64)]
    order = np.lexsort((own, hashes))
    hashes, own = hashes[order], own[order]
    same_name = hashes[1:] == hashes[:-1]
    kept = np.append(True, ~(same_name & (own[1:] == own[:-1])))[: len(own)]
    hashes, own = hashes[kept], own[kept]
    starts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(own)])
    ends = np.append(starts[1:], len(own))
    several = ends - starts > 1
    for start, end in zip(starts[several].tolist(), ends[several].tolist(), strict=True):
        yield own[start:end].tolist()


def _unambiguous(groups: Iterable[int], kinds: Kinds) -> Iterator[list[int]]:
    """Yield those groups of one title that are one paper, no two with a kind in common.

    Whether two groups fit together depends on their kinds of identifiers alone, of which there are
    few sets, so a title that thousands of papers have costs no more than another.
    """
    alike: dict[int, list[int]] = defaultdict(list)
    for group in groups:
        alike[int(kinds[group])].append(group)
    clusters: list[set[int]] = []
    for own in alike:
        near = [each for each in clusters if any(not own & other for other in each)]
        clusters = [each for each in clusters if each not in near]
        clusters.append({own}.union(*near))
    for cluster in clusters:
        members = [group for each in cluster for group in alike[each]]
        if _differ_in_kinds(members, kinds):
            yield members


def _differ_in_kinds(groups: Iterable[int], kinds: Kinds) -> bool:
    found = 0
    for group in groups:
        own = int(kinds[group])
        if found & own:
            return False
        found |= own
    return True


class _DisjointSets:
    """Numbers in sets that can be joined (union-find with path halving)."""

    def __init__(self, size: int) -> None:
        self._above = array("q", range(size))

    def find(self, number: int) -> int:
        while self._above[number] != number:
            self._above[number] = number = self._above[self._above[number]]
        return number

    def join(self, one: int, other: int) -> None:
        one, other = self.find(one), self.find(other)
        self._above[max(one, other)] = min(one, other)

    def roots(self) -> npt.NDArray[np.int64]:
        """Return the least number of the set of each."""
        import numpy as np

        above = np.array(self._above, dtype=np.int64)
        while not np.array_equal(above, higher := above[above]):
            above = higher
        return above


def merge_duplicates(papers: Iterable[Paper]) -> list[Paper]:
    """Merge entries of one paper into one; papers come out in the order of their first entry."""
    entries = list(papers)
    return [merge_entries([entries[place] for place in group]) for group in group_entries(entries)]


def merge_entries(entries: Sequence[Paper]) -> Paper:
    """Merge entries that speak of one paper.

    It keeps the first title, the longest abstract, every source and identifier.
    """
    identifiers = dict.fromkeys(name for entry in entries for name in entry.identifiers)
    own = [entry.id for entry in entries if _kind(entry.id) == "other"]
    return replace(
        entries[0],
        abstract=max((entry.abstract for entry in entries), key=len),
        sources=tuple(dict.fromkeys(source for entry in entries for source in entry.sources)),
        # With identifiers, the first of them in the order of kinds.
        id="" if identifiers else (own or [entries[0].id])[0],
        identifiers=tuple(identifiers),
    )
