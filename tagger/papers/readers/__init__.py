"""Read papers from files; the content tells the format, and each format is one module.

To add a format, write a module with ``recognise`` and ``read`` (see :class:`Reader`) and name it in
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
    """A module that reads one format: ``recognise`` tells it from the content of a source.

    ``read`` yields papers, in order and with repeats, and in place of a record that is no paper the
    error that says why, with its line. An error that concerns the source as a whole is raised.
    Neither needs to name the file.
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
"""By name, as given to ``--format``, in the order in which they are tried."""
_BY_SUFFIX = {".bib": "bibtex", ".ris": "ris", ".nbib": "nbib", ".csv": "csv", ".tsv": "csv"}
"""Where the content does not tell, the name of the file does."""

_ANY_TEXT = 16 * 1024**2
_MOST_TIMES = 100


@dataclass(frozen=True, slots=True)
class PaperFile:
    """A file that was read, and its format; its entries by their places among those of all files.

    Records that are no papers have a problem each, by their place among the records of the file.
    """

    source: Source
    format: str
    entries: range
    problems: Mapping[int, TaggerError]


@dataclass(frozen=True, slots=True)
class PaperCollection:
    """The files that could be read, their entries in order, and the papers that these speak of.

    In memory are some 32 bytes an entry, the rest is in a temporary file. Papers are in the order
    of their first entries.
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
    """Read files and find out which of their entries speak of one paper.

    Parameters and errors are those of :func:`read_papers`, but ``on_error`` is not called for a
    record: these problems are in the files.
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
    """Yield the papers of each file in turn, repeats included.

    A file is read as a whole before its first paper is given, so a file that does not parse
    gives none. A record that is no paper costs the others nothing. The papers are kept in a
    temporary file meanwhile, not in memory.

    Parameters
    ----------
    paths:
        A file to read, or several, ``-`` for standard input. One that is named twice is read
        once.
    on_error:
        Called with the reason for each file and each record that cannot be read; the others are
        still read. Without it the first of them ends the reading.
    format_name:
        Name of one of :data:`FORMATS`; without it, the content tells.
    columns:
        For tables, which column holds which field of a paper.

    Raises
    ------
    TaggerError
        If a file or a record cannot be read and ``on_error`` is not given, or there is no such
        format or field.
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
    """Put the entries of each file at the end of a spool and yield it; none if it is broken."""
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
                none = TaggerError("there are no papers in this file", path=path)
                raise next(iter(problems.values()), none)
        except TaggerError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        yield PaperFile(source, format_, range(start, len(spool)), problems)


def check_reading(format_name: str | None, columns: Mapping[str, str]) -> None:
    """Raise :class:`TaggerError` if there is no such format, or no such field for a column."""
    if format_name is not None and format_name not in FORMATS:
        raise TaggerError(f"'{format_name}' is no format", hint=f"One of: {', '.join(FORMATS)}")
    check_columns(columns)


def read_records(
    path: Path, format_name: str | None, columns: Mapping[str, str]
) -> Iterator[Paper | TaggerError]:
    """Yield the papers of one file as they are read, and errors in place of records that are none.

    A file that is broken as a whole may be found to be so after some records.
    """
    source = Source.open(path, columns)
    yield from _records(source, format_name or recognise(source))


def _records(source: Source, format_: str) -> Iterator[Paper | TaggerError]:
    """Yield the records of a source; texts very much larger than the file are refused."""
    left = _ANY_TEXT + _MOST_TIMES * source.size
    try:
        for record in FORMATS[format_].read(source):
            if isinstance(record, TaggerError):
                yield record.at(source.path)
                continue
            left -= len(record.title) + len(record.abstract)
            if left < 0:
                raise TaggerError("holds very much more text than its size allows")
            yield record
    except TaggerError as error:
        raise error.at(error.path or source.path) from error
    except ModuleNotFoundError as error:
        raise missing_package(error, "formats") from error


def _papers(
    records: Iterable[Paper | TaggerError], problems: dict[int, TaggerError]
) -> Iterator[Paper]:
    """Yield the papers among records; errors are added to ``problems`` by their place."""
    for place, record in enumerate(records):
        if isinstance(record, TaggerError):
            problems[place] = record
        else:
            yield record


def recognise(source: Source) -> str:
    """Return the name of the format of a source, told by its content or else by its name."""
    for name, reader in FORMATS.items():
        if reader.recognise(source):
            return name
    if source.is_folder:
        hint = f"Name the files in it, for example {source.path}/*"
        raise TaggerError("is a directory", path=source.path, hint=hint)
    return _BY_SUFFIX.get(source.path.suffix.lower(), "digest")
