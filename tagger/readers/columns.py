"""Which column of a table holds which field of a paper, and how a row becomes a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.cleaning import clean_marked_up_text
from tagger.readers.identifiers import identifiers_of, written_identifiers
from tagger.readers.source import Source

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
"""The usual names of each field's column, the best first: those of Scopus, Web of Science, IEEE
Xplore, Zotero, arXiv and Hugging Face. Case, ``_`` and ``-`` do not count."""
_MAY_BE_ANYTHING = ("link", "id", "identifiers")
"""What columns of such names hold is passed over where it is no identifier of a paper."""
_PMID_OF_WEB_OF_SCIENCE = "pm"
_TAGS_OF_WEB_OF_SCIENCE = ("ti", "ut")
"""Beside one of these, ``PM`` is the PubMed number."""
HEADER_WITHIN = 20
"""Exports write a few lines about themselves above the header, at most this many with it."""


def check_columns(chosen: Mapping[str, str]) -> None:
    """Refuse a choice of columns that speaks of other fields than a paper's.

    Raises
    ------
    TaggerError
        If a field is unknown.
    """
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
    """Where the fields of a paper stand in the rows of one table.

    Parameters
    ----------
    positions:
        Per field, the place of its column, counted from 0.
    """

    positions: Mapping[str, int]

    @classmethod
    def find(cls, names: Sequence[Any], source: Source, line: int | None = None) -> Columns:
        """Find the columns by the choice of the source, otherwise by the usual names.

        Parameters
        ----------
        names:
            The header of the table.
        source:
            What is being read, with the columns that the caller chose.
        line:
            Where the header stands, for messages.

        Raises
        ------
        TaggerError
            If no column holds the title, or a column that was chosen is not there.
        """
        positions = {}
        there = ", ".join(f"'{_shown(name)}'" for name in names if _shown(name)) or "none"
        for field in FIELDS:
            position = _position(field, names, source.columns)
            if position is not None:
                positions[field] = position
            elif field in source.columns:
                raise TaggerError(
                    f"there is no column '{source.columns[field]}'",
                    path=source.path,
                    line=line,
                    hint=f"The columns are: {there}",
                )
        if "title" not in positions:
            raise TaggerError(
                f"no column holds the title; the columns are: {there}",
                path=source.path,
                line=line,
                hint="Say which one does: --column title=NAME",
            )
        return cls(positions)

    def paper(self, cells: Sequence[Any], source: Source, line: int) -> Paper | TaggerError:
        """Return the paper of one row, or the error that says why it is none."""
        fields = {name: cells[position] for name, position in self.positions.items()}
        try:
            return make_paper(fields, source, line)
        except TaggerError as error:
            return error


def make_paper(fields: Mapping[str, Any], source: Source, line: int | None) -> Paper:
    """Return the paper that a row of a table or an entry of a feed speaks of.

    Parameters
    ----------
    fields:
        Per field of :data:`FIELDS`, what the row says; one other than the title may be missing.
    source:
        What is being read.
    line:
        The line or row, counted from 1, for messages.

    Raises
    ------
    TaggerError
        If there is no title, or a field is no text.
    """
    values = {}
    for name, value in fields.items():
        try:
            values[name] = _text(value)
        except TypeError as error:
            if name in _MAY_BE_ANYTHING:
                continue
            raise TaggerError(
                f"holds {error}, not text", path=source.path, line=line, field=name
            ) from error
    title, abstract = (clean_marked_up_text(values.get(name, "")) for name in ("title", "abstract"))
    if not title:
        raise TaggerError(
            "there is no title here",
            path=source.path,
            line=line,
            hint="Every paper needs one: fill it in, or take the row out",
        )
    own = written_identifiers(f"{values.get('id', '')} {values.get('identifiers', '')}")
    others = identifiers_of(
        dois=[values.get("doi", "")],
        arxiv=[values.get("arxiv", "")],
        pmids=[values.get("pmid", "")],
        links=[values.get("link", "")],
    )
    return Paper(title, abstract, (source.name,), identifiers=(*own, *others))


def _position(field: str, names: Sequence[Any], chosen: Mapping[str, str]) -> int | None:
    own = chosen.get(field)
    if own is not None and own in names:
        return names.index(own)
    known = [_normal(name) for name in names]
    for usual in FIELDS[field] if own is None else (_normal(own),):
        if usual in known:
            return known.index(usual)
    if field == "pmid" and own is None and any(tag in known for tag in _TAGS_OF_WEB_OF_SCIENCE):
        return known.index(_PMID_OF_WEB_OF_SCIENCE) if _PMID_OF_WEB_OF_SCIENCE in known else None
    return None


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
