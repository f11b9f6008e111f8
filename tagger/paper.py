"""A paper, what makes two entries the same paper, and which papers look like versions of one."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

IDENTIFIER_KINDS = ("doi", "arxiv", "pmid")
"""Kinds of identifiers, the one that serves best as an identity first."""
_TITLE_MARK = "t-"
_NOT_A_WORD = re.compile(r"[\W_]+")
_WORD = re.compile(r"\w+")


def paper_id(title: str) -> str:
    """Return the identity of a paper that is known by its title alone.

    Case, spacing, punctuation and Unicode form do not count, so that the same title typeset in
    two ways is one paper.

    Returns
    -------
    str
        ``"t-"`` and 16 hexadecimal digits of the SHA-256 of the normalised title.
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


def _kinds(paper: Paper) -> frozenset[str]:
    return frozenset(map(_kind, _names(paper)))


class KnownPapers:
    """Papers that are known, to tell whether an entry speaks of one of them.

    It does if they share an identifier, or a title unless both have an identifier of one kind
    that differs: two papers may be called "Introduction". An entry that may be either of two such
    papers, having no identifier, is known, since it may be one of these; :func:`group_entries`
    joins it with neither, since it cannot tell with which.
    """

    def __init__(self, papers: Iterable[Paper]) -> None:
        self._names: set[str] = set()
        self._kinds_by_title: dict[str, set[frozenset[str]]] = defaultdict(set)
        for paper in papers:
            self._names |= _names(paper)
            for title in _titles(paper):
                self._kinds_by_title[title].add(_kinds(paper))

    def __contains__(self, paper: Paper) -> bool:
        if not self._names.isdisjoint(_names(paper)):
            return True
        kinds = _kinds(paper)
        return any(
            kinds.isdisjoint(others)
            for title in _titles(paper)
            for others in self._kinds_by_title.get(title, ())
        )


def group_entries(papers: Sequence[Paper]) -> list[list[int]]:
    """Group entries that speak of one paper.

    Entries that share an identifier do, and so do entries of one title, unless that would join
    two that have an identifier of one kind each: then it cannot be told which of them is meant,
    and entries known by that title alone stay a paper of their own. The same holds where two titles
    join what neither would alone: then none of these entries is joined by title. What is joined
    does not depend on the order of entries.

    Returns
    -------
    list of list of int
        Places of the entries of each paper, in order, papers in the order of their first entry.
    """
    groups = _DisjointSets(len(papers))
    first: dict[str, int] = {}
    for place, paper in enumerate(papers):
        for name in _names(paper) or _titles(paper):
            groups.join(place, first.setdefault(name, place))
    kinds: dict[int, frozenset[str]] = defaultdict(frozenset)
    titled: dict[str, set[int]] = defaultdict(set)
    for place, paper in enumerate(papers):
        group = groups.find(place)
        kinds[group] |= _kinds(paper)
        for title in _titles(paper):
            titled[title].add(group)
    by_title = _DisjointSets(len(papers))
    for group_set in titled.values():
        for joined in _unambiguous(group_set, kinds):
            for group in joined[1:]:
                by_title.join(group, joined[0])
    alike: dict[int, list[int]] = defaultdict(list)
    for group in kinds:
        alike[by_title.find(group)].append(group)
    for joined in alike.values():
        if _differ_in_kinds(joined, kinds):
            for group in joined[1:]:
                groups.join(group, joined[0])
    places: dict[int, list[int]] = defaultdict(list)
    for place in range(len(papers)):
        places[groups.find(place)].append(place)
    return list(places.values())


def _unambiguous(groups: Iterable[int], kinds: Mapping[int, frozenset[str]]) -> Iterator[list[int]]:
    """Yield those groups of one title that are one paper, no two with a kind in common.

    Whether two groups fit together hangs on their kinds of identifiers alone, of which there are
    few sets, so a title that thousands of papers have costs no more than another.
    """
    alike: dict[frozenset[str], list[int]] = defaultdict(list)
    for group in groups:
        alike[kinds[group]].append(group)
    clusters: list[set[frozenset[str]]] = []
    for own in alike:
        near = [each for each in clusters if any(own.isdisjoint(other) for other in each)]
        clusters = [each for each in clusters if each not in near]
        clusters.append({own}.union(*near))
    for cluster in clusters:
        members = [group for each in cluster for group in alike[each]]
        if _differ_in_kinds(members, kinds):
            yield members


def _differ_in_kinds(groups: Iterable[int], kinds: Mapping[int, frozenset[str]]) -> bool:
    found = [kind for group in groups for kind in kinds[group]]
    return len(found) == len(set(found))


class _DisjointSets:
    """Numbers in sets that can be joined (union-find with path halving)."""

    def __init__(self, size: int) -> None:
        self._above = list(range(size))

    def find(self, number: int) -> int:
        while self._above[number] != number:
            self._above[number] = number = self._above[self._above[number]]
        return number

    def join(self, one: int, other: int) -> None:
        one, other = self.find(one), self.find(other)
        self._above[max(one, other)] = min(one, other)


def merge_duplicates(papers: Iterable[Paper]) -> list[Paper]:
    """Merge entries of one paper, as :func:`group_entries` finds them, into one.

    It keeps the first title, the longest abstract, every source and identifier; papers come out
    in the order of their first entry.
    """
    entries = list(papers)
    return [_merged([entries[place] for place in group]) for group in group_entries(entries)]


def _merged(entries: Sequence[Paper]) -> Paper:
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


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two papers under different titles whose abstracts share much of their wording.

    ``similarity`` is the Jaccard index of the abstracts' three-word shingles, 0 to 1.
    """

    first: Paper
    second: Paper
    similarity: float


def find_near_duplicates(
    papers: Sequence[Paper], *, threshold: float = 0.15, common: int = 50
) -> list[NearDuplicate]:
    """Find pairs of papers that are likely versions of one study.

    Shingles as in Broder, "On the resemblance and containment of documents" (1997); the pairs
    are counted through an inverted index. On 210 unrelated abstracts of one field no pair
    passes 0.05, so the default leaves room for rewritten abstracts.

    Parameters
    ----------
    papers:
        Papers of different identity.
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
    shingles = [_shingles(paper.abstract) for paper in papers]
    index: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, own in enumerate(shingles):
        for shingle in own:
            index[shingle].append(number)
    shared: dict[tuple[int, int], int] = defaultdict(int)
    for holders in index.values():
        if 1 < len(holders) <= common:
            for position, first in enumerate(holders):
                for second in holders[position + 1 :]:
                    shared[first, second] += 1
    pairs = []
    for (first, second), count in shared.items():
        similarity = count / (len(shingles[first]) + len(shingles[second]) - count)
        if similarity >= threshold:
            pairs.append(NearDuplicate(papers[first], papers[second], round(similarity, 4)))
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.first.id, pair.second.id))


def _shingles(text: str, size: int = 3) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}
