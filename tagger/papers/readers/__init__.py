"""Read papers from files; each format is one module, and is recognised by the content of a file.

To add a format, write a module with ``recognise`` and ``read`` (see :class:`Reader`) and add it to
:data:`FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tagger.errors import TaggerError, missing_package
from tagger.papers.paper import Paper
from tagger.papers.readers import (
    bibtex,
    delimited,
    digest,
    excel,
    feed,
    hf_dataset,
    html,
    json_lines,
    mail,
    nbib,
    parquet,
    pubmed_xml,
    ris,
)
from tagger.papers.readers.columns import check_columns
from tagger.papers.readers.source import Source
from tagger.papers.spool import MergedPapers, PaperSpool

__all__ = ["FORMATS", "PaperCollection", "PaperFile", "Reader", "collect_papers", "read_papers"]


class Reader(Protocol):
    """Protocol of a module that reads one format.

    ``recognise`` returns whether the content of a source has the format. ``read`` yields its papers
    in order, including repeats, and a :class:`TaggerError` with the line for each invalid record.
    It raises an error that concerns the whole source. Errors need not name the file.
    """

    def recognise(self, source: Source) -> bool: ...

    def read(self, source: Source) -> Iterable[Paper | TaggerError]: ...


FORMATS: Mapping[str, Reader] = {
    "dataset": hf_dataset,
    "excel": excel,
    "parquet": parquet,
    "bibtex": bibtex,
    "ris": ris,
    "nbib": nbib,
    "pubmed-xml": pubmed_xml,
    "feed": feed,
    "html": html,
    "json": json_lines,
    "mail": mail,
    "csv": delimited,
    "digest": digest,
}
"""Readers by the name of the format (``--format``), in the order in which they are tried."""
_BY_SUFFIX = {".bib": "bibtex", ".ris": "ris", ".nbib": "nbib", ".csv": "csv", ".tsv": "csv"}
"""Formats by file name, used if no reader recognises the content."""

_FREE_TEXT = 16 * 1024**2
_MAX_RATIO = 100
"""A file may contain ``_FREE_TEXT + _MAX_RATIO * size`` characters of text."""


@dataclass(frozen=True, slots=True)
class PaperFile:
    """A file that was read, and its format.

    ``entries`` are the indices of its entries among those of all files. ``problems`` maps the index
    of each invalid record among the records of the file to its error.
    """

    source: Source
    format: str
    entries: range
    problems: Mapping[int, TaggerError]


@dataclass(frozen=True, slots=True)
class PaperCollection:
    """The files that could be read, their entries, and the merged papers of these entries.

    Papers are in the order of their first entries. About 32 bytes an entry are held in memory, the
    rest in a temporary file.
    """

    files: tuple[PaperFile, ...]
    entries: PaperSpool
    papers: MergedPapers


def collect_papers(
    paths: str | Path | Iterable[str | Path],
    on_error: Callable[[TaggerError], None] | None = None,
    *,
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> PaperCollection:
    """Read files and merge the entries of each paper.

    Parameters and errors are those of :func:`read_papers`, except that ``on_error`` is not called
    for invalid records: they are listed as :attr:`PaperFile.problems`.
    """
    entries = PaperSpool()
    files = tuple(_read_into(entries, paths, on_error, format_name, columns or {}))
    return PaperCollection(files, entries, MergedPapers(entries))


def read_papers(
    paths: str | Path | Iterable[str | Path],
    on_error: Callable[[TaggerError], None] | None = None,
    *,
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Iterator[Paper]:
    """Yield the papers of each file in turn, including repeats.

    A file is read completely before its first paper is yielded, so a broken file yields no papers.
    An invalid record does not affect the others. Papers are buffered in a temporary file.

    Parameters
    ----------
    paths:
        One file or several; ``-`` is standard input. A file that is named twice is read once.
    on_error:
        Called with the error of each file and each record that cannot be read, while the others
        are still read. If None, the first error is raised.
    format_name:
        A key of :data:`FORMATS`. If None, the format is recognised by the content.
    columns:
        For tables, the name of the column of each field: ``{"title": "Article Title"}``.

    Raises
    ------
    TaggerError
        If a file or a record cannot be read and ``on_error`` is None, or the format or a field of
        ``columns`` is unknown.
    """
    spool = PaperSpool()
    for file in _read_into(spool, paths, on_error, format_name, columns or {}):
        if on_error is not None:
            for problem in file.problems.values():
                on_error(problem)
        yield from map(spool.__getitem__, file.entries)


def _read_into(
    spool: PaperSpool,
    paths: str | Path | Iterable[str | Path],
    on_error: Callable[[TaggerError], None] | None,
    format_name: str | None,
    columns: Mapping[str, str],
) -> Iterator[PaperFile]:
    """Append the entries of each file to a spool and yield the file; skip broken files."""
    check_reading(format_name, columns)
    if isinstance(paths, str | Path):
        paths = [paths]
    for path in dict.fromkeys(Path(path) for path in paths):
        start = len(spool)
        problems: dict[int, TaggerError] = {}
        try:
            source = Source.open(path, columns)
            format_ = format_name or recognise(source)
            spool.extend(_papers(_records(source, format_), problems))
            if len(spool) == start or (problems and on_error is None):
                empty = TaggerError("the file contains no papers", path=path)
                raise next(iter(problems.values()), empty)
        except TaggerError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        yield PaperFile(source, format_, range(start, len(spool)), problems)


def check_reading(format_name: str | None, columns: Mapping[str, str]) -> None:
    """Raise :class:`TaggerError` if the format, or a field of ``columns``, is unknown."""
    if format_name is not None and format_name not in FORMATS:
        raise TaggerError(f"unknown format '{format_name}'", hint=f"Known: {', '.join(FORMATS)}")
    check_columns(columns)


def read_records(
    path: Path, format_name: str | None, columns: Mapping[str, str]
) -> Iterator[Paper | TaggerError]:
    """Yield the papers of one file as they are read, and an error for each invalid record.

    If the file as a whole is broken, the error may be raised after some records.
    """
    source = Source.open(path, columns)
    yield from _records(source, format_name or recognise(source))


def _records(source: Source, format_: str) -> Iterator[Paper | TaggerError]:
    """Yield the records of a source; raise an error if the text is far larger than the file."""
    remaining = _FREE_TEXT + _MAX_RATIO * source.size
    try:
        for record in FORMATS[format_].read(source):
            if isinstance(record, TaggerError):
                yield record.at(source.path)
                continue
            remaining -= len(record.title) + len(record.abstract)
            if remaining < 0:
                raise TaggerError("the text is far larger than the file; the file may be harmful")
            yield record
    except TaggerError as error:
        raise error.at(error.path or source.path) from error
    except ModuleNotFoundError as error:
        raise missing_package(error, "formats") from error


def _papers(
    records: Iterable[Paper | TaggerError], problems: dict[int, TaggerError]
) -> Iterator[Paper]:
    """Yield the papers among records; store the errors in ``problems`` by record index."""
    for index, record in enumerate(records):
        if isinstance(record, TaggerError):
            problems[index] = record
        else:
            yield record


def recognise(source: Source) -> str:
    """Return the name of the format of a source, from its content or else its file name."""
    for name, reader in FORMATS.items():
        if reader.recognise(source):
            return name
    if source.is_folder:
        hint = f"Name the files in it, for example {source.path}/*"
        raise TaggerError("is a folder, not a file", path=source.path, hint=hint)
    return _BY_SUFFIX.get(source.path.suffix.lower(), "digest")
