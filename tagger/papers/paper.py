"""A paper: title, abstract, sources and identity."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from datetime import date

from tagger.papers.titles import words_of

IDENTIFIER_KINDS = ("doi", "arxiv", "pmid", "openalex", "s2", "corpusid")
"""Kinds of identifiers, the preferred identity first."""
_TITLE_PREFIX = "t-"


def paper_id(title: str) -> str:
    """Derive the identity of a paper without identifiers from its title.

    Case, spacing, punctuation and Unicode form are ignored. The id is ``"t-"`` and 16 hexadecimal
    digits of the SHA-256 of the normalised title.
    """
    key = "".join(words_of(title)) or unicodedata.normalize("NFKC", title).casefold()
    return _TITLE_PREFIX + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Paper:
    """One paper, the unit that is tagged.

    Parameters
    ----------
    title, abstract:
        Clean text, one line each. The abstract may be empty.
    sources:
        Names of the files that contain the paper, in the order of reading.
    id:
        Identity. If empty, it is set to the first identifier, or to :func:`paper_id` of the title
        if the paper has no identifier.
    identifiers:
        Normalised as by :mod:`tagger.papers.readers.identifiers`: ``doi:10.1234/abc``,
        ``arxiv:2101.00001``, ``pmid:123``, ``openalex:w123``, or those of Semantic Scholar, ``s2:``
        and ``corpusid:``. They are sorted by kind, without repeats. An ``id`` that is an identifier
        is added to them.
    day:
        Day of publication, or on which the record was listed or added, if the record has it.

    Raises
    ------
    ValueError
        If an identifier is of another kind.
    """

    title: str
    abstract: str
    sources: tuple[str, ...] = ()
    id: str = field(default="")
    identifiers: tuple[str, ...] = ()
    day: date | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        own = (self.id,) if kind_of_id(self.id) in IDENTIFIER_KINDS else ()
        identifiers = sorted(
            dict.fromkeys(own + self.identifiers),
            key=lambda name: IDENTIFIER_KINDS.index(kind_of_id(name)),
        )
        object.__setattr__(self, "identifiers", tuple(identifiers))
        if not self.id:
            name = identifiers[0] if identifiers else paper_id(self.title)
            object.__setattr__(self, "id", name)

    @property
    def known_as(self) -> frozenset[str]:
        """All ids of the paper: its own, its identifiers, and the id of its title."""
        return frozenset((self.id, *self.identifiers, paper_id(self.title)))

    @property
    def unique_ids(self) -> frozenset[str]:
        """The ids that are not derived from a title; other papers rarely have them."""
        return frozenset(
            name for name in (self.id, *self.identifiers) if not name.startswith(_TITLE_PREFIX)
        )

    @property
    def text(self) -> str:
        """Title and abstract as one text, the input of every encoder.

        Lone surrogates, which JSON can express but encoders cannot read, become '?'.
        """
        title = self.title.rstrip()
        stop = "" if not title or title.endswith((".", "?", "!")) else "."
        text = f"{title}{stop} {self.abstract}".strip()
        return text.encode("utf-8", "replace").decode("utf-8")


def kind_of_id(name: str) -> str:
    """Return the kind of an id: one of :data:`IDENTIFIER_KINDS`, ``title``, or ``other``."""
    if name.startswith(_TITLE_PREFIX):
        return "title"
    kind = name.partition(":")[0]
    return kind if kind in IDENTIFIER_KINDS else "other"
