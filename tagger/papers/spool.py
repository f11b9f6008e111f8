"""Sequences of papers in a temporary database, for lists that do not fit into memory."""

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
from tagger.papers.identity import merge_entries, number_papers
from tagger.papers.paper import Paper


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
    """Papers in a database: the file ``path``, else a temporary one, deleted at exit."""

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
        """Append papers: all of them, or none if the iterable raises or the disk is full."""
        with self._full_disk(), self._database:
            # JSON can express lone surrogates.
            fields = ((p.title, p.abstract, p.sources, p.id, p.identifiers) for p in papers)
            rows = ((json.dumps(each),) for each in fields)
            done = self._database.executemany("INSERT INTO papers VALUES (?)", rows)
        self._length += max(done.rowcount, 0)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _paper(self, index: int) -> Paper:
        query = "SELECT fields FROM papers WHERE rowid = ?"
        ((fields,),) = self._database.execute(query, (index + 1,))
        title, abstract, sources, identity, identifiers = json.loads(fields)
        return Paper(title, abstract, tuple(sources), identity, tuple(identifiers))

    @contextmanager
    def _full_disk(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            problem = cannot_write(self._folder, OSError(str(error)))
            problem.hint = "Set the variable TMPDIR to a folder on a disk with more free space"
            raise problem from error


class MergedPapers(_LazyPapers):
    """The merged papers of a spool of entries, which must not be extended afterwards."""

    def __init__(self, entries: PaperSpool) -> None:
        import numpy as np

        self._entries = entries
        self.numbers = number_papers(entries)
        """For each entry, the index of its paper, shape (entries,)."""
        self._order = np.argsort(self.numbers, kind="stable")
        self._starts = np.append(0, np.cumsum(np.bincount(self.numbers)))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def _paper(self, index: int) -> Paper:
        start, end = self._starts[index : index + 2].tolist()
        return merge_entries([self._entries[n] for n in self._order[start:end].tolist()])
