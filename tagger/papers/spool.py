"""Sequences of papers on disk, for lists that do not fit into memory."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from tagger._util.atomic import cannot_write, replacing_bytes
from tagger.errors import TaggerError
from tagger.papers.identity import EntryKeys, merge_entries
from tagger.papers.paper import Paper

MapFunction = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""A function like ``map``, which may yield the results in any order."""
_OPEN_FILES = 64
_ARRAYS = ("numbers", "order", "starts", "shares_id")


class _LazyPapers(Sequence[Paper]):
    """A sequence that builds each paper on access."""

    @abstractmethod
    def _paper(self, index: int) -> Paper: ...

    @overload
    def __getitem__(self, index: int) -> Paper: ...
    @overload
    def __getitem__(self, index: slice) -> list[Paper]: ...
    def __getitem__(self, index: int | slice) -> Paper | list[Paper]:
        """Return one paper, or a list for a slice."""
        found = range(len(self))[index]
        return self._paper(found) if isinstance(found, int) else list(map(self._paper, found))

    def __iter__(self) -> Iterator[Paper]:
        return map(self._paper, range(len(self)))


class PaperSpool(_LazyPapers):
    """A sequence of papers in an SQLite database: the file ``path``, or a temporary one.

    ``papers`` are added to those of the file. Raises a TaggerError if the file cannot be written,
    for example because the disk is full, if another process uses it, or if it is damaged.
    """

    def __init__(self, papers: Iterable[Paper] = (), path: Path | None = None) -> None:
        self._path = path
        with self._writing():
            self._database = sqlite3.connect(path or "", check_same_thread=False)
        with self._writing(), self._database:
            # A file of a killed process is written again, so no rollback journal is needed.
            self._database.execute("PRAGMA journal_mode = OFF")
            self._database.execute("CREATE TABLE IF NOT EXISTS papers (fields TEXT)")
            # JSON can express lone surrogates.
            fields = ((p.title, p.abstract, p.sources, p.id, p.identifiers, p.day) for p in papers)
            rows = ((json.dumps(each, default=date.isoformat),) for each in fields)
            self._database.executemany("INSERT INTO papers VALUES (?)", rows)
            ((last,),) = self._database.execute("SELECT max(rowid) FROM papers")
        self._length = last or 0

    def __len__(self) -> int:
        return int(self._length)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _paper(self, index: int) -> Paper:
        query = "SELECT fields FROM papers WHERE rowid = ?"
        try:
            ((fields,),) = self._database.execute(query, (index + 1,))
            title, abstract, sources, identity, identifiers, day = json.loads(fields)
            day = day and date.fromisoformat(day)
            return Paper(title, abstract, tuple(sources), identity, tuple(identifiers), day)
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            raise self._damaged(error) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Convert the errors of the database to TaggerErrors."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                hint = "Wait until it has finished, and run the same command again"
                raise TaggerError(
                    "another process uses this file", path=self._path, hint=hint
                ) from error
            folder = self._path.parent if self._path else Path(tempfile.gettempdir())
            problem = cannot_write(folder, OSError(str(error)))
            problem.hint = "Set the variable TMPDIR to a folder on a disk with more free space"
            raise problem from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> TaggerError:
        hint = "Delete it, and run the same command again"
        return TaggerError(f"cannot be read ({error})", path=self._path, hint=hint)


class Entries(_LazyPapers):
    """The concatenation of several spools; ``lengths`` is the number of papers of each file.

    It can be pickled for another process, which then reads the same files. The reference to
    ``owner`` keeps the temporary folder of the files alive.
    """

    def __init__(self, lengths: Mapping[Path, int], owner: object = None) -> None:
        self._lengths, self._owner = dict(lengths), owner
        self._paths = list(self._lengths)
        self._starts = [0, *accumulate(self._lengths.values())]
        self._spools: dict[int, PaperSpool] = {}

    def __len__(self) -> int:
        return self._starts[-1]

    def __reduce__(self) -> tuple[type[Entries], tuple[dict[Path, int]]]:
        return Entries, (self._lengths,)

    def _paper(self, index: int) -> Paper:
        number = bisect_right(self._starts, index) - 1
        if number not in self._spools:
            while len(self._spools) >= _OPEN_FILES:
                self._spools.popitem()[1].close()
            self._spools[number] = PaperSpool(path=self._paths[number])
        return self._spools[number][index - self._starts[number]]


class MergedPapers(_LazyPapers):
    """The merged papers of entries; the assignment of entries to papers is stored in ``folder``.

    It is computed from ``keys``, or read from the folder if ``keys`` is None. ``numbers`` is the
    index of the paper of each entry, shape (entries,). ``doubtful`` lists, for each identifier that
    several papers share, the indices of these papers; it is empty without ``keys``.
    """

    def __init__(self, entries: Entries, keys: EntryKeys | None, folder: Path) -> None:
        self._entries, self._folder = entries, folder
        self.doubtful = list[list[int]]()
        if keys is not None:
            numbers, self.doubtful = keys.number(lambda index: entries[index].title)
            starts = np.append(0, np.cumsum(np.bincount(numbers)))
            shares_id = np.zeros(len(starts) - 1, dtype=np.int64)
            shares_id[[number for group in self.doubtful for number in group]] = 1
            arrays = (numbers, np.argsort(numbers, kind="stable"), starts, shares_id)
            for name, values in zip(_ARRAYS, arrays, strict=True):
                with replacing_bytes(folder / f"{name}.npy") as file:
                    np.save(file, values)
        self.numbers, self._order, self._starts, self._shares_id = map(self._mapped, _ARRAYS)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __reduce__(self) -> tuple[type[MergedPapers], tuple[Entries, None, Path]]:
        return MergedPapers, (self._entries, None, self._folder)

    def _mapped(self, name: str) -> npt.NDArray[np.int64]:
        path = self._folder / f"{name}.npy"
        # An empty array cannot be memory-mapped.
        values: npt.NDArray[np.int64] = np.load(path, mmap_mode="r" if len(self._entries) else None)
        return values

    def _paper(self, index: int) -> Paper:
        start, end = self._starts[index : index + 2].tolist()
        entries = [self._entries[n] for n in self._order[start:end].tolist()]
        return merge_entries(entries, shares_id=bool(self._shares_id[index]))
