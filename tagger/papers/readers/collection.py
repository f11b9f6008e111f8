"""Collect the entries of several files on disk, and merge the entries of each paper.

For each file, its entries, their :class:`EntryKeys` and a summary are written to a folder. The
summary is written last, and a file with a summary is not read again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from tagger._util.atomic import making, replacing, replacing_bytes
from tagger.errors import TaggerError, without_password
from tagger.papers.identity import EntryKeys
from tagger.papers.paper import Paper
from tagger.papers.readers.formats import check_reading_options, read_records, recognise
from tagger.papers.readers.records import Notice, shortened
from tagger.papers.readers.source import Source
from tagger.papers.readers.storage import find_files, is_local_and_uncompressed, local_file
from tagger.papers.spool import Entries, MapFunction, MergedPapers, PaperSpool

_SHOWN = 5
"""Number of doubtful identifiers that are named."""
_PAGES = ("digest", "html", "mail")
"""Formats in which every paper should have an abstract."""


@dataclass(frozen=True, slots=True)
class PaperFile:
    """A file that was read, and its format.

    ``entries`` are the indices of its entries among those of all files. ``problems`` maps the index
    of each invalid record among the records of the file to its error, ``early`` has the indices of
    those left out as too old. ``notices`` are lines about the file for the user.
    """

    source: Source
    format: str
    entries: range
    problems: Mapping[int, TaggerError]
    notices: tuple[str, ...] = ()
    early: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PaperCollection:
    """The files that could be read, their entries, and the merged papers of these entries.

    Papers are in the order of their first entries. They are stored in a temporary folder, deleted
    with the collection, or in a named folder; ``key`` then identifies its content.
    """

    files: tuple[PaperFile, ...]
    entries: Entries
    papers: MergedPapers
    key: str | None = None

    @property
    def notices(self) -> list[str]:
        """Return the notices of all files, and one line for each doubtful identifier."""
        about_files = [notice for file in self.files for notice in file.notices]
        doubtful = self.papers.doubtful
        shown_first = [_shared(map(self.papers.__getitem__, group)) for group in doubtful[:_SHOWN]]
        more = len(doubtful) - len(shown_first)
        rest = [f"{more} more identifiers belong to papers with different titles"] if more else []
        return [*about_files, *shown_first, *rest]


def _shared(papers: Iterable[Paper]) -> str:
    each = list(papers)
    names = set.intersection(*(set(paper.identifiers or (paper.id,)) for paper in each))
    titles = [f"'{shortened(paper.title)}'" for paper in each[:2]] + ["\u2026"] * (len(each) > 2)
    return (
        f"{len(each)} papers with different titles have {', '.join(sorted(names)) or 'one id'} and "
        f"are kept apart: {', '.join(titles)}"
    )


def collect_papers(
    paths: str | Path | Iterable[str | Path],
    on_error: Callable[[TaggerError], None] | None = None,
    *,
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
    since: date | None = None,
    folder: Path | None = None,
    each: MapFunction = map,
) -> PaperCollection:
    """Read files and merge the entries of each paper.

    Parameters and errors are those of :func:`read_papers`, except that ``on_error`` is not called
    for invalid records: they are listed as :attr:`PaperFile.problems`.

    Parameters
    ----------
    since:
        Leave out records of earlier days; a notice counts them, and those without a day.
    folder:
        Folder for the entries; by default a temporary one. Files that are already stored there are
        not read again, so use one folder per list of files, format and choice of columns.
    each:
        Function like ``map`` that applies a function to items, possibly in other processes, and
        yields the results in any order.
    """
    check_reading_options(format_name, columns or {})
    places = _places(paths)
    scratch = None
    if folder is None:
        scratch = tempfile.TemporaryDirectory(prefix="tagger-", ignore_cleanup_errors=True)
        folder = Path(scratch.name)
    read = partial(_read_file, folder, format_name, columns or {}, since)
    found: dict[int, PaperFile | TaggerError] = {}
    for number, file in each(read, enumerate(places)):
        errors = [file] if isinstance(file, TaggerError) else [*file.problems.values()]
        if errors and on_error is None:
            raise errors[0]
        found[number] = file
    keys, files, spools = EntryKeys(), list[PaperFile](), dict[Path, int]()
    for number, file in sorted(found.items()):
        if isinstance(file, TaggerError):
            if on_error:
                on_error(file)
            continue
        start, count = len(keys), len(file.entries)
        keys.load(_path(folder, number, "npz"))
        files.append(replace(file, entries=range(start, start + count)))
        spools[_path(folder, number, "sqlite")] = count
    entries = Entries(spools, scratch)
    return PaperCollection(
        tuple(files),
        entries,
        MergedPapers(entries, keys, folder),
        None if scratch else folder.name,
    )


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
        One file or several, or folders of files; ``-`` is standard input. A file that is named
        twice is read once.
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
        If a file or a record cannot be read and ``on_error`` is None, a folder contains no file, or
        the format or a field of ``columns`` is unknown.
    """
    check_reading_options(format_name, columns or {})
    for place in _places(paths):
        read = collect_papers(place, on_error, format_name=format_name, columns=columns)
        for problem in (problem for file in read.files for problem in file.problems.values()):
            if on_error:
                on_error(problem)
        yield from read.entries


def _places(paths: str | Path | Iterable[str | Path]) -> list[str]:
    paths = [paths] if isinstance(paths, str | Path) else paths
    places: list[str] = []
    for path in paths:
        is_folder = "://" not in str(path) and Path(path).is_dir()
        places += [file.place for file in find_files([str(path)])] if is_folder else [str(path)]
    return list(dict.fromkeys(place if "://" in place else str(Path(place)) for place in places))


def _read_file(
    folder: Path,
    format_name: str | None,
    columns: Mapping[str, str],
    since: date | None,
    item: tuple[int, str],
) -> tuple[int, PaperFile | TaggerError]:
    """Read a file into the folder unless its summary exists; return its number and the result.

    ``item`` is the number and the path or URL of the file. The result contains no entries, so it is
    small enough to be sent between processes.
    """
    number, place = item
    path, content = _path(folder, number, "json"), None
    if not path.exists():
        keys, reading = EntryKeys(), _Reading(place, format_name, columns, since)
        with making(_path(folder, number, "sqlite")) as new:
            PaperSpool(keys.adding(reading.papers()), new).close()
        with replacing_bytes(_path(folder, number, "npz")) as file:
            keys.save(file)
        with replacing(path) as text:
            json.dump(reading.summary, text)
        content = reading.content
    summary = json.loads(path.read_text(encoding="utf-8"))
    return number, _from_summary(summary, Source(place, Path(place), columns, content))


class _Reading:
    """The reading of one file: its papers, and its summary as JSON once all of them are read.

    Errors are put into the summary, so that the spool is always finished.
    """

    def __init__(
        self, place: str, format_name: str | None, columns: Mapping[str, str], since: date | None
    ) -> None:
        self._place, self._columns, self._since = place, columns, since
        self.content: bytes | None = None
        self.problems = dict[int, dict[str, Any]]()
        self.notices, self.early = list[str](), list[int]()
        self.summary: dict[str, Any] = {
            "format": format_name,
            "problems": self.problems,
            "notices": self.notices,
            "early": self.early,
        }

    def papers(self) -> Iterator[Paper]:
        """Yield the papers, up to the first error that concerns the whole file."""
        try:
            with local_file(self._place) as path:
                source = Source.open(path, self._columns)
                self.content = source.content
                self.summary["name"] = source.name
                stamp = source.stamp if is_local_and_uncompressed(self._place) else None
                self.summary["stamp"] = stamp
                self.summary["format"] = self.summary["format"] or recognise(source)
                yield from self._records(source)
        except TaggerError as error:
            self.summary["broken"] = vars(error.at(without_password(self._place)))

    def _records(self, source: Source) -> Iterator[Paper]:
        index, entries, bare, first_bare, undated = 0, 0, 0, "", 0
        for record in read_records(source, self.summary["format"]):
            if isinstance(record, Notice):
                self.notices.append(f"{source.name}: {record}")
                continue
            if isinstance(record, TaggerError):
                self.problems[index] = vars(record.at(self._place))
            elif self._since and record.day and record.day < self._since:
                self.early.append(index)
            else:
                entries += 1
                undated += record.day is None
                if not record.abstract:
                    bare, first_bare = bare + 1, first_bare or record.title
                yield record
            index += 1
        if not index:
            raise TaggerError("the file contains no papers")
        self.summary["entries"] = entries
        if self._since and (self.early or undated):
            self.notices.append(
                f"{source.name}: {len(self.early)} papers from before {self._since} are left out, "
                f"and {undated} without a date are kept"
            )
        if bare > entries / 2 or (bare and self.summary["format"] in _PAGES):
            self.notices.append(
                f"{source.name}: {bare} of {entries} papers have no abstract and are tagged "
                f"by their title, first '{shortened(first_bare)}'"
            )


def _from_summary(summary: Mapping[str, Any], source: Source) -> PaperFile | TaggerError:
    if "broken" in summary:
        return TaggerError(**summary["broken"])
    stamp = summary["stamp"] and tuple(summary["stamp"])
    return PaperFile(
        replace(source, name=summary["name"], stamp=stamp),
        summary["format"],
        range(summary["entries"]),
        {int(index): TaggerError(**error) for index, error in summary["problems"].items()},
        tuple(summary["notices"]),
        tuple(summary["early"]),
    )


def _path(folder: Path, number: int, ending: str) -> Path:
    return folder / f"{number:06d}.{ending}"
