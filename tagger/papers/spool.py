"""Sequences of papers on disk, for lists that do not fit into memory."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from tagger._util.atomic import cannot_write, replacing_bytes
from tagger.papers.identity import EntryKeys, merge_entries
from tagger.papers.paper import Paper

Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Calls a function with each item and yields what it returns, in any order: ``map`` is one."""
_OPEN_FILES = 64
_ARRAYS = ("numbers", "order", "starts")


class _LazyPapers(Sequence[Paper]):
    """A sequence that builds each paper on access."""

    @abstractmethod
    def _paper(self, place: int) -> Paper: ...

    @overload
    def __getitem__(self, place: int) -> Paper: ...
    @overload
    def __getitem__(self, place: slice) -> list[Paper]: ...
    def __getitem__(self, place: int | slice) -> Paper | list[Paper]:
        """Return the paper of a place, or the list of those of a slice."""
        places = range(len(self))[place]
        return self._paper(places) if isinstance(places, int) else list(map(self._paper, places))

    def __iter__(self) -> Iterator[Paper]:
        return map(self._paper, range(len(self)))


class PaperSpool(_LazyPapers):
    """Papers in a database: the file ``path``, else a temporary one, deleted at exit."""

    def __init__(self, papers: Iterable[Paper] = (), path: Path | None = None) -> None:
        self._folder = path.parent if path else Path(tempfile.gettempdir())
        self._database = sqlite3.connect(path or "", check_same_thread=False)
        with self._full_disk(), self._database:
            # A file that a kill cut short is written anew, so nothing has to be undone.
            self._database.execute("PRAGMA journal_mode = OFF")
            self._database.execute("CREATE TABLE IF NOT EXISTS papers (fields TEXT)")
            # As JSON, which holds halves of surrogate pairs, too.
            fields = ((p.title, p.abstract, p.sources, p.id, p.identifiers) for p in papers)
            rows = ((json.dumps(each),) for each in fields)
            self._database.executemany("INSERT INTO papers VALUES (?)", rows)
            ((last,),) = self._database.execute("SELECT max(rowid) FROM papers")
        self._length = last or 0

    def __len__(self) -> int:
        return int(self._length)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _paper(self, place: int) -> Paper:
        query = "SELECT fields FROM papers WHERE rowid = ?"
        ((fields,),) = self._database.execute(query, (place + 1,))
        title, abstract, sources, own, identifiers = json.loads(fields)
        return Paper(title, abstract, tuple(sources), own, tuple(identifiers))

    @contextmanager
    def _full_disk(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            problem = cannot_write(self._folder, OSError(str(error)))
            problem.hint = "Set the variable TMPDIR to a folder on a disk with more free space"
            raise problem from error


class Entries(_LazyPapers):
    """The papers of several spools, one after the other; ``owner`` is kept for as long as they are.

    They can be sent to another process, which reads the same files.
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

    def _paper(self, place: int) -> Paper:
        number = bisect_right(self._starts, place) - 1
        if number not in self._spools:
            while len(self._spools) >= _OPEN_FILES:
                self._spools.popitem()[1].close()
            self._spools[number] = PaperSpool(path=self._paths[number])
        return self._spools[number][place - self._starts[number]]


class MergedPapers(_LazyPapers):
    """The papers that entries speak of, merged; which entries these are is kept in a folder.

    ``numbers`` tells for each entry the place of its paper here, shape (entries,).
    """

    def __init__(self, entries: Entries, keys: EntryKeys | None, folder: Path) -> None:
        self._entries, self._folder = entries, folder
        if keys is not None:
            numbers = keys.number()
            starts = np.append(0, np.cumsum(np.bincount(numbers)))
            arrays = (numbers, np.argsort(numbers, kind="stable"), starts)
            for name, values in zip(_ARRAYS, arrays, strict=True):
                with replacing_bytes(folder / f"{name}.npy") as file:
                    np.save(file, values)
        self.numbers, self._order, self._starts = (self._mapped(name) for name in _ARRAYS)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __reduce__(self) -> tuple[type[MergedPapers], tuple[Entries, None, Path]]:
        return MergedPapers, (self._entries, None, self._folder)

    def _mapped(self, name: str) -> npt.NDArray[np.int64]:
        path = self._folder / f"{name}.npy"
        # An array without numbers cannot be mapped.
        values: npt.NDArray[np.int64] = np.load(path, mmap_mode="r" if len(self._entries) else None)
        return values

    def _paper(self, place: int) -> Paper:
        start, end = self._starts[place : place + 2].tolist()
        return merge_entries([self._entries[n] for n in self._order[start:end].tolist()])
