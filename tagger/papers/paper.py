"""A paper, and what makes two entries the same paper."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
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

    Case, spacing, punctuation and Unicode form do not count. It is ``"t-"`` and 16 hexadecimal
    digits of the SHA-256 of the normalised title.
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
        As :mod:`tagger.papers.readers.identifiers` writes them, ``doi:10.1234/abc``,
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
    return reduce(or_, (1 << _KINDS.index(_kind(name)) for name in _names(paper)), 0)


class KnownPapers:
    """Papers that are known, to tell whether an entry speaks of one of them.

    It does if they share an identifier, or a title unless both have an identifier of one kind
    that differs: two papers may be called "Introduction". An entry without identifier that may be
    either of two such papers is known; :class:`EntryKeys` joins it with neither.
    """

    def __init__(self, papers: Iterable[Paper]) -> None:
        self._names: set[str] = set()
        self._kinds_by_title: dict[str, set[int]] = defaultdict(set)
        for paper in papers:
            self._names |= _names(paper)
            for title in _titles(paper):
                self._kinds_by_title[title].add(_kinds(paper))

    def __contains__(self, paper: Paper) -> bool:
        kinds = _kinds(paper)
        return not self._names.isdisjoint(_names(paper)) or any(
            not kinds & others
            for title in _titles(paper)
            for others in self._kinds_by_title.get(title, ())
        )


class EntryKeys:
    """What tells which entries speak of one paper: a hash of 64 bits of each name and title.

    Entries that share an identifier speak of one, and so do entries of one title, unless that would
    join two that have an identifier of one kind each: then entries known by that title alone stay a
    paper of their own. The same holds where two titles join what neither would alone: then none of
    these entries is joined by title. What is joined does not depend on the order of entries. Two
    names of a million are taken for one with a probability below one in ten million.
    """

    def __init__(self) -> None:
        # Pairs of hash and entry, flat.
        self._names, self._titles = array("Q"), array("Q")
        self._kinds = bytearray()

    def add(self, paper: Paper) -> None:
        """Add an entry."""
        entry, own, called = len(self._kinds), _names(paper), _titles(paper)
        for keys, names in ((self._names, own or called), (self._titles, called)):
            for name in names:
                keys.extend((hash_of(name.encode("utf-8", "surrogatepass")), entry))
        self._kinds.append(_kinds(paper))

    def save(self, file: BinaryIO) -> None:
        """Write them, for :meth:`load`."""
        import numpy as np

        kinds = np.frombuffer(bytes(self._kinds), dtype=np.uint8)
        np.savez(file, names=np.array(self._names), titles=np.array(self._titles), kinds=kinds)

    def load(self, path: Path) -> None:
        """Add the entries that :meth:`save` wrote."""
        import numpy as np

        with np.load(path) as file:
            for ours, name in ((self._names, "names"), (self._titles, "titles")):
                theirs = file[name].astype(np.uint64)
                theirs[1::2] += np.uint64(len(self._kinds))
                ours.frombytes(theirs.tobytes())
            self._kinds += file["kinds"].tobytes()

    def number(self) -> npt.NDArray[np.int64]:
        """Return the paper of each entry, shape (entries,), numbered by their first entries."""
        import numpy as np

        # Union-find with path halving (Tarjan and van Leeuwen, 1984).
        groups, by_title = (array("q", range(len(self._kinds))) for _ in range(2))
        for entries in _sharing(self._names, np.arange(len(self._kinds))):
            _join(groups, entries)
        roots = _roots(groups)
        kinds = np.zeros(len(self._kinds), dtype=np.uint8)
        np.bitwise_or.at(kinds, roots, np.frombuffer(self._kinds, dtype=np.uint8))
        joined: set[int] = set()
        for alike in _sharing(self._titles, roots):
            for members in _unambiguous(alike, kinds):
                joined.update(members)
                _join(by_title, members)
        clusters: dict[int, list[int]] = defaultdict(list)
        for group in joined:
            clusters[_find(by_title, group)].append(group)
        for members in clusters.values():
            if _differ_in_kinds(members, kinds):
                _join(groups, members)
        # A group is known by its first entry, so they come in the order of these.
        return np.unique(_roots(groups), return_inverse=True)[1]


def number_papers(papers: Iterable[Paper]) -> npt.NDArray[np.int64]:
    """Number the papers that entries speak of, as :meth:`EntryKeys.number` does."""
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


def hash_of(content: bytes) -> int:
    """Return a hash of 64 bits."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _sharing(keys: array[int], groups: npt.NDArray[np.int64]) -> Iterator[list[int]]:
    """Yield the groups of entries that have a name in common with another, name by name."""
    import numpy as np

    hashes, entries = np.frombuffer(keys, dtype=np.uint64).reshape(-1, 2).T
    own = groups[entries.astype(np.int64)]
    order = np.lexsort((own, hashes))
    pairs = np.column_stack([hashes[order], own[order].astype(np.uint64)])
    pairs = pairs[np.append(True, (pairs[1:] != pairs[:-1]).any(axis=1))[: len(pairs)]]
    ends = np.flatnonzero(np.append(pairs[1:, 0] != pairs[:-1, 0], True)[: len(pairs)]) + 1
    starts = np.append(0, ends[:-1])[: len(ends)]
    several = ends - starts > 1
    for start, end in zip(starts[several].tolist(), ends[several].tolist(), strict=True):
        yield pairs[start:end, 1].tolist()


def _unambiguous(groups: Iterable[int], kinds: Kinds) -> Iterator[list[int]]:
    """Yield those groups of one title that are one paper, no two with a kind in common."""
    # Of kinds there are few sets, so a title of thousands of papers costs no more than another.
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
    own = [int(kinds[group]) for group in groups]
    return sum(own) == reduce(or_, own, 0)


def _find(above: array[int], number: int) -> int:
    """Return the least number of a set; each number is in one, below another of it or itself."""
    while above[number] != number:
        above[number] = number = above[above[number]]
    return number


def _join(above: array[int], numbers: Sequence[int]) -> None:
    for number in numbers[1:]:
        one, other = _find(above, number), _find(above, numbers[0])
        above[max(one, other)] = min(one, other)


def _roots(above: array[int]) -> npt.NDArray[np.int64]:
    import numpy as np

    return np.array([_find(above, number) for number in range(len(above))], dtype=np.int64)


def merge_duplicates(papers: Iterable[Paper]) -> list[Paper]:
    """Merge entries of one paper into one; papers come out in the order of their first entry."""
    entries = list(papers)
    return [merge_entries([entries[place] for place in group]) for group in group_entries(entries)]


def merge_entries(entries: Sequence[Paper]) -> Paper:
    """Merge entries of one paper: first title, longest abstract, all sources and identifiers."""
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
