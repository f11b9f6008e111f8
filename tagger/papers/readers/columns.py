"""Which column of a table holds which field of a paper, and how a row becomes a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.identifiers import identifiers_of, written_identifiers
from tagger.papers.readers.records import make_paper
from tagger.papers.readers.source import Source

FIELDS: Mapping[str, tuple[str, ...]] = {
    "title": ("title", "article title", "paper title", "document title", "ti"),
    "abstract": (
        "abstract",
        "abstract note",
        "abstract text",
        "paper abstract",
        "ab",
        "summary",
        "text",
    ),
    "doi": ("doi", "di", "digital object identifier"),
    "arxiv": ("arxiv", "arxiv id", "arxivid", "eprint"),
    "pmid": ("pmid", "pubmed id", "pubmedid"),
    "link": ("url", "link"),
    "id": ("id",),
    "identifiers": ("identifiers",),
}
"""The default names of each field's column, the best first: those of Scopus, Web of Science, IEEE
Xplore, Zotero, arXiv and Hugging Face. Case, ``_`` and ``-`` do not count."""
_MAY_BE_ANYTHING = ("link", "id", "identifiers")
"""Columns whose cells are passed over where they hold no identifier of a paper."""
_TAGS_OF_WEB_OF_SCIENCE = {"ti", "ut"}
"""Beside one of these, ``PM`` is the PubMed number."""
HEADER_WITHIN = 20
"""Exports write a few lines about themselves above the header, at most this many with it."""


def check_columns(chosen: Mapping[str, str]) -> None:
    """Raise :class:`TaggerError` if columns are chosen for a field that papers do not have."""
    for field in chosen:
        if field not in FIELDS:
            raise TaggerError(
                f"papers have no field '{field}' that a column could hold",
                hint=f"One of: {', '.join(FIELDS)}; for example --column title=NAME",
            )


def has_title(names: Sequence[Any], chosen: Mapping[str, str]) -> bool:
    """Tell whether one of the columns holds the title."""
    return _position("title", names, chosen) is not None


@dataclass(frozen=True, slots=True)
class Columns:
    """Per field of a paper, the position of its column in the rows of one table, from 0."""

    positions: Mapping[str, int]

    @classmethod
    def find(cls, names: Sequence[Any], source: Source, line: int | None = None) -> Columns:
        """Find the columns among the ``names`` of a header, which is at ``line``.

        The choice of the source comes first, then the default names. If no column holds the title,
        or a chosen one is missing, that is an error.
        """
        found = {field: _position(field, names, source.columns) for field in FIELDS}
        there = ", ".join(f"'{_shown(name)}'" for name in names if _shown(name)) or "none"
        for field, name in source.columns.items():
            if found[field] is None:
                problem, hint = f"there is no column '{name}'", f"The columns are: {there}"
                raise TaggerError(problem, path=source.path, line=line, hint=hint)
        if found["title"] is None:
            raise TaggerError(
                f"no column holds the title; the columns are: {there}",
                path=source.path,
                line=line,
                hint="Say which one does: --column title=NAME",
            )
        return cls({field: place for field, place in found.items() if place is not None})

    def alone(self, names: Sequence[str]) -> tuple[list[str], Columns]:
        """Return the names of these columns, and what finds them in a table without others."""
        own = Columns({field: place for place, field in enumerate(self.positions)})
        return [names[position] for position in self.positions.values()], own

    def paper(self, cells: Sequence[Any], source: Source, line: int) -> Paper | TaggerError:
        """Return the paper of one row, or the error that says why it is none."""
        fields = {name: cells[position] for name, position in self.positions.items()}
        return paper_of_fields(fields, source, line)


def paper_of_fields(fields: Mapping[str, Any], source: Source, line: int) -> Paper | TaggerError:
    """Return the paper that fields of :data:`FIELDS` describe, or why there is none."""
    values = dict.fromkeys(FIELDS, "")
    for name, value in fields.items():
        try:
            values[name] = _text(value)
        except TypeError as error:
            if name not in _MAY_BE_ANYTHING:
                return TaggerError(f"holds {error}, not text", line=line, field=name)
    own = written_identifiers(f"{values['id']} {values['identifiers']}")
    doi, arxiv, pmid, link = ([values[name]] for name in ("doi", "arxiv", "pmid", "link"))
    others = identifiers_of(dois=doi, arxiv=arxiv, pmids=pmid, links=link)
    return make_paper(source, line, [values["title"]], [values["abstract"]], (*own, *others))


def _position(field: str, names: Sequence[Any], chosen: Mapping[str, str]) -> int | None:
    own = chosen.get(field)
    if own is not None and own in names:
        return names.index(own)
    known = [_normal(name) for name in names]
    wanted = FIELDS[field] if own is None else (_normal(own),)
    if field == "pmid" and own is None and _TAGS_OF_WEB_OF_SCIENCE.intersection(known):
        wanted = (*wanted, "pm")
    return next((known.index(name) for name in wanted if name in known), None)


def _normal(name: object) -> str:
    return " ".join(_shown(name).casefold().replace("_", " ").replace("-", " ").split())


def _shown(name: object) -> str:
    return "" if name is None else " ".join(str(name).split())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    # Not a number is how data frames write that there is nothing.
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        # Spreadsheets keep whole numbers so.
        return str(int(value))
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " ".join(value)
    if isinstance(value, bytes | list | dict | tuple):
        raise TypeError(f"a {type(value).__name__}")
    return str(value)
