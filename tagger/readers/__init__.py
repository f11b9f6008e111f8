"""Read papers from files, one module a format; the format is told by the content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tagger.errors import TaggerError, missing_package
from tagger.paper import Paper
from tagger.readers.bibtex import is_bibtex, read_bibtex
from tagger.readers.columns import check_columns
from tagger.readers.delimited import is_delimited, read_delimited
from tagger.readers.digest import read_digest
from tagger.readers.excel import is_excel, read_excel
from tagger.readers.feed import is_feed, read_feed
from tagger.readers.hf_dataset import is_hf_dataset, read_hf_dataset
from tagger.readers.html import is_html, read_html
from tagger.readers.json_lines import is_json, read_json
from tagger.readers.mail import is_mail, read_mail
from tagger.readers.nbib import is_nbib, read_nbib
from tagger.readers.parquet import is_parquet, read_parquet
from tagger.readers.placeholders import is_no_abstract
from tagger.readers.pubmed_xml import is_pubmed_xml, read_pubmed_xml
from tagger.readers.ris import is_ris, read_ris
from tagger.readers.source import Source
from tagger.spool import MergedPapers, PaperSpool

__all__ = ["FORMATS", "Format", "PaperCollection", "PaperFile", "collect_papers", "read_papers"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format that papers come in.

    Parameters
    ----------
    name:
        As given to ``--format``.
    recognises:
        Tells the format from the content of a source, and from its name where that decides.
    read:
        Yields the papers of a source, in order and with repeats; in place of a row of a table that
        is no paper, the error that says why. Raises an error that concerns the source as a whole.
    """

    name: str
    recognises: Callable[[Source], bool]
    read: Callable[[Source], Iterable[Paper | TaggerError]]


FORMATS = (
    Format("dataset", is_hf_dataset, read_hf_dataset),
    Format("excel", is_excel, read_excel),
    Format("parquet", is_parquet, read_parquet),
    Format("bibtex", is_bibtex, read_bibtex),
    Format("ris", is_ris, read_ris),
    Format("nbib", is_nbib, read_nbib),
    Format("pubmed-xml", is_pubmed_xml, read_pubmed_xml),
    Format("feed", is_feed, read_feed),
    Format("html", is_html, read_html),
    Format("json", is_json, read_json),
    Format("mail", is_mail, read_mail),
    Format("csv", is_delimited, read_delimited),
    Format("digest", lambda source: not source.is_folder, read_digest),
)
"""In the order in which they are tried: a digest is any other text."""


_ANY_TEXT = 16 * 1024**2
_MOST_TIMES = 100


@dataclass(frozen=True, slots=True)
class PaperFile:
    """A file that was read.

    Parameters
    ----------
    source, format:
        What it is.
    entries:
        The places of its entries among those of all files.
    problems:
        Why rows of it are no papers.
    """

    source: Source
    format: Format
    entries: range
    problems: tuple[TaggerError, ...] = ()


@dataclass(frozen=True, slots=True)
class PaperCollection:
    """What was read from files; in memory, some 32 bytes an entry, the rest in a temporary file.

    Parameters
    ----------
    files:
        Those that could be read.
    entries:
        What stands in them, in order and with repeats.
    papers:
        The papers that the entries speak of, in the order of their first entries.
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

    Parameters and errors are those of :func:`read_papers`.
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
    gives none. A row of a table that is no paper costs the others nothing. The papers are kept in a
    temporary file meanwhile, not in memory.

    Parameters
    ----------
    paths:
        A file to read, or several, ``-`` for standard input. One that is named twice is read
        once.
    on_error:
        Called with the reason for each file and each row that cannot be read; the others are
        still read. Without it the first of them ends the reading.
    format_name:
        Name of one of :data:`FORMATS`; without it, the content tells.
    columns:
        For tables, which column holds which field of a paper.

    Raises
    ------
    TaggerError
        If a file or a row cannot be read and ``on_error`` is not given, or there is no such format
        or field.
    """
    spool = PaperSpool()
    for file in _read_into(spool, paths, on_error, format_name, columns or {}):
        if on_error is not None:
            for problem in file.problems:
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
    names = [known.name for known in FORMATS]
    if format_name is not None and format_name not in names:
        raise TaggerError(f"'{format_name}' is no format", hint=f"One of: {', '.join(names)}")
    check_columns(columns)
    if isinstance(paths, str | Path):
        paths = [paths]
    for path in dict.fromkeys(Path(path) for path in paths):
        start = len(spool)
        problems: list[TaggerError] = []
        try:
            source = Source.open(path, columns)
            with _named(source):
                format_ = _format_of(source, format_name)
            spool.extend(_entries(source, format_, problems))
            if problems and (on_error is None or len(spool) == start):
                raise problems[0]
        except TaggerError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        yield PaperFile(source, format_, range(start, len(spool)), tuple(problems))


def _entries(source: Source, format_: Format, problems: list[TaggerError]) -> Iterator[Paper]:
    """Yield the papers of a source; errors of its rows are added to ``problems``."""

    def papers() -> Iterator[Paper]:
        for row in format_.read(source):
            if isinstance(row, TaggerError):
                problems.append(_located(row, source))
            else:
                yield _without_stand_in(row)

    with _named(source):
        yield from _within_bounds(papers(), source)


@contextmanager
def _named(source: Source) -> Iterator[None]:
    """Name the file in errors of the block."""
    try:
        yield
    except TaggerError as error:
        raise _located(error, source) from error
    except ModuleNotFoundError as error:
        raise missing_package(error, "formats") from error


def _located(error: TaggerError, source: Source) -> TaggerError:
    return TaggerError(
        error.problem, path=source.path, line=error.line, field=error.field, hint=error.hint
    )


def _within_bounds(papers: Iterable[Paper], source: Source) -> Iterator[Paper]:
    """Refuse texts that are very much larger than the file: one of them, packed, again and again.

    Raises
    ------
    TaggerError
        In the midst of the papers.
    """
    left = _ANY_TEXT + _MOST_TIMES * source.size
    for paper in papers:
        left -= len(paper.title) + len(paper.abstract)
        if left < 0:
            raise TaggerError("holds very much more text than its size allows", path=source.path)
        yield paper


def _without_stand_in(paper: Paper) -> Paper:
    """Empty an abstract that says but that there is none: such papers would look alike."""
    return replace(paper, abstract="") if is_no_abstract(paper.abstract) else paper


def _format_of(source: Source, name: str | None) -> Format:
    for known in FORMATS:
        if known.name == name or (name is None and known.recognises(source)):
            return known
    raise TaggerError("is a directory", hint=f"Name the files in it, for example {source.path}/*")
