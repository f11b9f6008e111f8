"""Find the columns of a table that contain the fields of a paper, and turn rows into papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.blocks import TITLE_WITH_LINK
from tagger.papers.readers.identifiers import identifiers_of, written_identifiers
from tagger.papers.readers.records import make_paper
from tagger.papers.readers.source import Source

FIELDS: Mapping[str, tuple[str, ...]] = {
    "title": (
        "title",
        "article title",
        "paper title",
        "document title",
        "display name",
        "item title",
        "title primary",
        "ti",
        "dc:title",
        "\u9898\u540d",
        "\u6807\u9898",
        "\u30bf\u30a4\u30c8\u30eb",
    ),
    "abstract": (
        "abstract",
        "abstract note",
        "abstractnote",
        "abstract text",
        "abstracttext",
        "paper abstract",
        "ab",
        "summary",
        "text",
        "dc:description",
        "\u6458\u8981",
        "\u6284\u9332",
        "\u8981\u65e8",
    ),
    "doi": ("doi", "di", "digital object identifier", "item doi", "doi link", "prism:doi"),
    "arxiv": ("arxiv", "arxiv id", "arxivid", "eprint"),
    "pmid": ("pmid", "pubmed id", "pubmedid"),
    "link": ("url", "link", "urls"),
    "id": ("id", "guid"),
    "s2": ("paperid", "paper id", "corpusid", "corpus id"),
    "identifiers": ("identifiers", "openalex id"),
    "day": (
        "publication date",
        "publicationdate",
        "date",
        "published",
        "date published",
        "issued",
        "firstpublicationdate",
        "create date",
        "date added",
    ),
}
"""Default column names of each field, the preferred first: those of Scopus, Web of Science, IEEE
Xplore, PubMed, Europe PMC, Zotero, arXiv and Hugging Face. Case, ``_`` and ``-`` are ignored."""
_MAY_BE_ANYTHING = ("link", "id", "s2", "identifiers", "day")
"""Fields whose cells are ignored if they contain no identifier of a paper."""
_TAGS_OF_WEB_OF_SCIENCE = {"ti", "ut"}
"""In a table with one of these columns, the column ``PM`` is the PubMed number."""
HEADER_WITHIN = 20
"""The header is expected among this many first rows, since some exports begin with a preamble."""


def has_column(field: str, names: Sequence[Any], chosen: Mapping[str, str]) -> bool:
    return _position(field, names, chosen) is not None


@dataclass(frozen=True, slots=True)
class Columns:
    """Positions of the columns of one table, from 0, by the field of a paper."""

    positions: Mapping[str, int]

    @classmethod
    def find(cls, names: Sequence[Any], source: Source, line: int | None = None) -> Columns:
        """Find the columns among the ``names`` of a header in line ``line``.

        The columns chosen by the user come first, then the default names. Raises a TaggerError if a
        chosen column is missing or no column contains the title.
        """
        found = {field: _position(field, names, source.columns) for field in FIELDS}
        listed = ", ".join(f"'{_one_line(name)}'" for name in names if _one_line(name)) or "none"
        for field, name in source.columns.items():
            if found[field] is None:
                problem, hint = f"there is no column '{name}'", f"The columns are: {listed}"
                raise TaggerError(problem, path=source.path, line=line, hint=hint)
        if found["title"] is None:
            raise TaggerError(
                f"cannot find the column with the titles; the columns are: {listed}",
                path=source.path,
                line=line,
                hint="Name it with --column title=NAME",
            )
        return cls({field: index for field, index in found.items() if index is not None})

    def select(self, names: Sequence[str]) -> tuple[list[str], Columns]:
        """Return the names of these columns, and their positions in a table of only these."""
        positions = {field: index for index, field in enumerate(self.positions)}
        return [names[index] for index in self.positions.values()], Columns(positions)

    def paper(self, cells: Sequence[Any], source: Source, line: int) -> Paper | TaggerError:
        fields = {name: cells[position] for name, position in self.positions.items()}
        return paper_of_fields(fields, source, line)


def paper_of_fields(fields: Mapping[str, Any], source: Source, line: int) -> Paper | TaggerError:
    """Return the paper described by fields of :data:`FIELDS`, or an error if they are invalid."""
    values = dict.fromkeys(FIELDS, "")
    for name, value in fields.items():
        try:
            values[name] = _text(value)
        except TypeError as error:
            if name not in _MAY_BE_ANYTHING:
                return TaggerError(f"expected text, found {error}", line=line, field=name)
    if titled := TITLE_WITH_LINK.fullmatch(values["title"].strip()):  # in Markdown
        values["title"], values["link"] = titled[1], values["link"] or titled[2]
    written = written_identifiers(
        f"{values['id']} {values['identifiers']} {values['s2']} corpusid:{values['s2']}"
    )
    doi, arxiv, pmid, link = ([values[name]] for name in ("doi", "arxiv", "pmid", "link"))
    others = identifiers_of(dois=doi, arxiv=arxiv, pmids=pmid, links=link)
    title, abstract, days = ([values[name]] for name in ("title", "abstract", "day"))
    return make_paper(source, line, title, abstract, (*written, *others), days=days)


def _position(field: str, names: Sequence[Any], chosen: Mapping[str, str]) -> int | None:
    column = chosen.get(field)
    if column is not None and column in names:
        return names.index(column)
    normal = [_normal(name) for name in names]
    wanted = FIELDS[field] if column is None else (_normal(column),)
    if field == "pmid" and column is None and _TAGS_OF_WEB_OF_SCIENCE.intersection(normal):
        wanted = (*wanted, "pm")
    return next((normal.index(name) for name in wanted if name in normal), None)


def _normal(name: object) -> str:
    return " ".join(_one_line(name).casefold().replace("_", " ").replace("-", " ").split())


def _one_line(name: object) -> str:
    return "" if name is None else " ".join(str(name).split())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    # Data frames use NaN, which differs from itself, for missing values.
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        # Spreadsheets store whole numbers as floats.
        return str(int(value))
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " ".join(value)
    if isinstance(value, bytes | list | dict | tuple):
        raise TypeError(f"a value of type {type(value).__name__}")
    return str(value)
