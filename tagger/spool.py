"""Papers in a temporary file, for lists that are too long for memory."""

from __future__ import annotations

import json
import tempfile
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, overload

from tagger.atomic import cannot_write
from tagger.paper import Paper, merge_entries, number_papers

_IN_MEMORY = 1 << 20
"""Bytes that are kept in memory before they become a file."""


class _LazyPapers(Sequence[Paper]):
    """Papers that are made when they are asked for, each time anew."""

    @abstractmethod
    def _paper(self, place: int) -> Paper: ...

    @overload
    def __getitem__(self, place: int) -> Paper: ...

    @overload
    def __getitem__(self, place: slice) -> list[Paper]: ...

    def __getitem__(self, place: int | slice) -> Paper | list[Paper]:
        places = range(len(self))[place]
        return self._paper(places) if isinstance(places, int) else list(map(self._paper, places))

    def __iter__(self) -> Iterator[Paper]:
        return map(self._paper, range(len(self)))


class PaperSpool(_LazyPapers):
    """Papers in a temporary file; 8 bytes a paper are in memory.

    The file has no name, so nothing is left of it, however the program ends.

    Parameters
    ----------
    papers:
        The first of them.

    Raises
    ------
    TaggerError
        If the folder for temporary files is full.
    """

    def __init__(self, papers: Iterable[Paper] = ()) -> None:
        self._file = temporary_file(_IN_MEMORY)
        self._starts = array("q", [0])
        self.extend(papers)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def extend(self, papers: Iterable[Paper]) -> None:
        """Put papers at the end: all of them, or none if one cannot be had.

        Raises
        ------
        TaggerError
            If the folder for temporary files is full; and whatever the papers raise.
        """
        before = len(self)
        self._file.seek(self._starts[-1])
        try:
            for paper in papers:
                content = (
                    paper.title,
                    paper.abstract,
                    paper.sources,
                    paper.id,
                    paper.identifiers,
                )
                line = json.dumps(content).encode()
                with full_temporary_folder():
                    self._file.write(line)
                self._starts.append(self._starts[-1] + len(line))
            with full_temporary_folder():
                self._file.flush()
        except BaseException:
            # What is behind the end is written over.
            del self._starts[before + 1 :]
            raise

    def _paper(self, place: int) -> Paper:
        start, end = self._starts[place], self._starts[place + 1]
        self._file.seek(start)
        title, abstract, sources, own, identifiers = json.loads(self._file.read(end - start))
        return Paper(title, abstract, tuple(sources), own, tuple(identifiers))


class MergedPapers(_LazyPapers):
    """The papers that entries speak of, merged as by :func:`tagger.paper.merge_duplicates`.

    While entries are compared, some 100 bytes of each are in memory, and 24 after that.

    Parameters
    ----------
    entries:
        What is merged; no more may be added to them.
    """

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


def temporary_file(in_memory: int) -> IO[bytes]:
    """Return a file without a name, which becomes one on the disk above a number of bytes."""
    return tempfile.SpooledTemporaryFile(in_memory, prefix="tagger-")


@contextmanager
def full_temporary_folder() -> Iterator[None]:
    """Say which folder is full, or cannot be written to, where writing in the block fails."""
    try:
        yield
    except OSError as error:
        problem = cannot_write(Path(tempfile.gettempdir()), error)
        problem.hint = "Name another folder for temporary files with the variable TMPDIR"
        raise problem from error
