"""Papers in a temporary database, for lists that are too long for memory."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import overload

from tagger._util.atomic import cannot_write
from tagger.papers.paper import Paper, merge_entries, number_papers


class _LazyPapers(Sequence[Paper]):
    """Papers that are made when they are asked for, each time anew."""

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
    """Papers in a database, by default a temporary one, which goes when the program ends."""

    def __init__(self, papers: Iterable[Paper] = (), path: Path | None = None) -> None:
        self._folder = path.parent if path else Path(tempfile.gettempdir())
        self._database = sqlite3.connect(path or "", check_same_thread=False)
        with self._full_disk():
            self._database.execute("CREATE TABLE IF NOT EXISTS papers (fields TEXT)")
            ((self._length,),) = self._database.execute("SELECT count(*) FROM papers")
        self.extend(papers)

    def __len__(self) -> int:
        return int(self._length)

    def extend(self, papers: Iterable[Paper]) -> None:
        """Put papers at the end: all of them, or none if one cannot be had or there is no room."""
        with self._full_disk(), self._database:
            # As JSON, which holds halves of surrogate pairs, too.
            fields = ((p.title, p.abstract, p.sources, p.id, p.identifiers) for p in papers)
            rows = ((json.dumps(each),) for each in fields)
            done = self._database.executemany("INSERT INTO papers VALUES (?)", rows)
        self._length += max(done.rowcount, 0)

    def close(self) -> None:
        """Let go of the database."""
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
            problem.hint = "For temporary files, the variable TMPDIR names another folder"
            raise problem from error


class MergedPapers(_LazyPapers):
    """The papers that entries speak of, merged; no more may be added to these."""

    def __init__(self, entries: PaperSpool) -> None:
        import numpy as np

        self._entries = entries
        self.numbers = number_papers(entries)
        """For each entry, the place of its paper here, shape (entries,)."""
        self._order = np.argsort(self.numbers, kind="stable")
        self._starts = np.append(0, np.cumsum(np.bincount(self.numbers)))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def _paper(self, place: int) -> Paper:
        start, end = self._starts[place : place + 2].tolist()
        return merge_entries([self._entries[n] for n in self._order[start:end].tolist()])
