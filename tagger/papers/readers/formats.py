"""The formats that papers are read from, each recognised by the content of a file.

To add a format, write a module with ``recognise`` and ``read`` (see :class:`Reader`) and add it to
:data:`FORMATS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from tagger.errors import TaggerError, missing_package
from tagger.papers.paper import Paper
from tagger.papers.readers import (
    arxiv_listing,
    bibtex,
    delimited,
    digest,
    excel,
    feed,
    hf_dataset,
    html,
    json_lines,
    library,
    mail,
    nep,
    parquet,
    pubmed_text,
    ris,
)
from tagger.papers.readers.columns import FIELDS
from tagger.papers.readers.records import Notice
from tagger.papers.readers.source import Source
from tagger.papers.readers.tagged_lines import NBIB, OVID, REFER, REFWORKS, WEB_OF_SCIENCE
from tagger.papers.readers.unknown import refusal, refusal_by_start
from tagger.papers.readers.xml_records import ENDNOTE_XML, MODS_XML, PUBMED_XML


class Reader(Protocol):
    """Protocol of a module or an object that reads one format.

    ``recognise`` returns whether the content of a source has the format. ``read`` yields its papers
    in order, including repeats, a :class:`TaggerError` with the line for each invalid record, and
    a :class:`Notice` about the file. It raises an error that concerns the whole source. Errors need
    not name the file.
    """

    def recognise(self, source: Source) -> bool: ...

    def read(self, source: Source) -> Iterable[Paper | TaggerError | Notice]: ...


FORMATS: Mapping[str, Reader] = {
    "dataset": hf_dataset,
    "excel": excel,
    "parquet": parquet,
    "library": library,
    "bibtex": bibtex,
    "nbib": NBIB,
    "ris": ris,
    "wos": WEB_OF_SCIENCE,
    "refer": REFER,
    "refworks": REFWORKS,
    "ovid": OVID,
    "pubmed-xml": PUBMED_XML,
    "endnote-xml": ENDNOTE_XML,
    "mods-xml": MODS_XML,
    "feed": feed,
    "html": html,
    "json": json_lines,
    "mail": mail,
    "arxiv-listing": arxiv_listing,
    "nep": nep,
    "pubmed-text": pubmed_text,
    "csv": delimited,
    "digest": digest,
}
"""Readers by the name of the format (``--format``), in the order in which they are tried."""
_BY_SUFFIX = {
    ".bib": "bibtex",
    ".ris": "ris",
    ".nbib": "nbib",
    ".csv": "csv",
    ".tsv": "csv",
    ".ciw": "wos",
    ".enw": "refer",
}
"""Formats by file name, used if no reader recognises the content."""

_FREE_TEXT = 16 * 1024**2
_MAX_RATIO = 100
"""A file may contain ``_FREE_TEXT + _MAX_RATIO * size`` characters of text."""


def check_reading_options(format_name: str | None, columns: Mapping[str, str]) -> None:
    """Raise :class:`TaggerError` if the format, or a field of ``columns``, is unknown."""
    if format_name is not None and format_name not in FORMATS:
        raise TaggerError(f"unknown format '{format_name}'", hint=f"Known: {', '.join(FORMATS)}")
    for field in columns:
        if field not in FIELDS:
            raise TaggerError(
                f"unknown field '{field}'",
                hint=f"Known: {', '.join(FIELDS)}; for example --column title=NAME",
            )


def read_records(source: Source, format_: str) -> Iterator[Paper | TaggerError | Notice]:
    """Yield the papers of a source as they are read, and an error for each invalid record.

    If the file as a whole is broken, or its text is far larger than the file, the error may be
    raised after some records.
    """
    remaining = _FREE_TEXT + _MAX_RATIO * source.size
    try:
        for record in FORMATS[format_].read(source):
            if not isinstance(record, Paper):
                yield record.at(source.path) if isinstance(record, TaggerError) else record
                continue
            remaining -= len(record.title) + len(record.abstract)
            if remaining < 0:
                raise TaggerError("the text is far larger than the file; the file may be harmful")
            yield record
    except TaggerError as error:
        raise error.at(error.path or source.path) from error
    except ModuleNotFoundError as error:
        raise missing_package(error, "formats") from error


def recognise(source: Source) -> str:
    """Return the name of the format of a source, from its content or else its file name.

    Raises a TaggerError if neither tells: it says what the source looks like.
    """
    for name, reader in FORMATS.items():
        if reader.recognise(source):
            return name
    if refused := refusal_by_start(source):
        raise refused
    by_name = _BY_SUFFIX.get(source.path.suffix.lower())
    if by_name is None:
        raise refusal(source)
    return by_name
