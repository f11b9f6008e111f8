"""Read papers from files, one module a format; the format is told by the content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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

__all__ = ["FORMATS", "Format", "PaperFile", "read_files", "read_papers"]


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
        Yields the papers of a source, in order and with repeats.
    """

    name: str
    recognises: Callable[[Source], bool]
    read: Callable[[Source], Iterable[Paper]]


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
    """A file that has been read: what it is, its format, and its papers with repeats."""

    source: Source
    format: Format
    papers: tuple[Paper, ...]


def read_files(
    paths: str | Path | Iterable[str | Path],
    on_error: Callable[[TaggerError], None] | None = None,
    *,
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Iterator[PaperFile]:
    """Yield each file in turn, with its papers; see :func:`read_papers`."""
    names = [known.name for known in FORMATS]
    if format_name is not None and format_name not in names:
        raise TaggerError(f"'{format_name}' is no format", hint=f"One of: {', '.join(names)}")
    check_columns(columns or {})
    if isinstance(paths, str | Path):
        paths = [paths]
    for path in dict.fromkeys(Path(path) for path in paths):
        try:
            file = _read(Source.open(path, columns), format_name)
        except TaggerError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        yield file


def read_papers(
    paths: str | Path | Iterable[str | Path],
    on_error: Callable[[TaggerError], None] | None = None,
    *,
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Iterator[Paper]:
    """Yield the papers of each file in turn, repeats included.

    A file is read as a whole before its first paper is given, so a file that does not parse
    gives none.

    Parameters
    ----------
    paths:
        A file to read, or several, ``-`` for standard input. One that is named twice is read
        once.
    on_error:
        Called with the reason for each file that cannot be read; the others are still read.
        Without it the first such file ends the reading.
    format_name:
        Name of one of :data:`FORMATS`; without it, the content tells.
    columns:
        For tables, which column holds which field of a paper.

    Raises
    ------
    TaggerError
        If a file cannot be read and ``on_error`` is not given, or there is no such format or
        field.
    """
    for file in read_files(paths, on_error, format_name=format_name, columns=columns):
        yield from file.papers


def _read(source: Source, name: str | None) -> PaperFile:
    try:
        format_ = _format_of(source, name)
        papers = _within_bounds(map(_without_stand_in, format_.read(source)), source)
        return PaperFile(source, format_, tuple(papers))
    except TaggerError as error:
        raise TaggerError(
            error.problem,
            path=source.path,
            line=error.line,
            field=error.field,
            hint=error.hint,
        ) from error
    except ModuleNotFoundError as error:
        raise missing_package(error, "formats") from error


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
