"""A paper, what makes two entries the same paper, and which papers look like versions of one."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

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
    return "t-" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]


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
        Identity; made from the title by :func:`paper_id` where none is given.
    """

    title: str
    abstract: str
    sources: tuple[str, ...] = ()
    id: str = field(default="")

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", paper_id(self.title))

    @property
    def text(self) -> str:
        """Title and abstract as one text, the form in which every encoder sees a paper."""
        title = self.title.rstrip()
        stop = "" if not title or title.endswith((".", "?", "!")) else "."
        return f"{title}{stop} {self.abstract}".strip()


def merge_duplicates(papers: Iterable[Paper]) -> list[Paper]:
    """Merge entries of one identity into one paper that remembers every source.

    The first title and the longest abstract are kept; papers come out in the order of their
    first entry.
    """
    merged: dict[str, Paper] = {}
    for paper in papers:
        known = merged.get(paper.id)
        if known is None:
            merged[paper.id] = paper
            continue
        merged[paper.id] = replace(
            known,
            abstract=max(known.abstract, paper.abstract, key=len),
            sources=tuple(dict.fromkeys(known.sources + paper.sources)),
        )
    return list(merged.values())


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
