"""Reader for libraries of tagger, so that their papers can be reviewed, explained and grouped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tagger.errors import TaggerError
from tagger.papers.library import Library, is_library
from tagger.papers.paper import Paper
from tagger.papers.readers.source import Source


def recognise(source: Source) -> bool:
    """Recognise a library by its header."""
    return is_library(source.start)


def read(source: Source) -> Iterator[Paper]:
    """Yield the papers of a library, with the names of the files that they came from."""
    if source.content is not None:
        raise TaggerError("a library is read only from a file", hint="Save it, and name the file")
    for one in Library(source.path).papers():
        yield replace(one.paper, day=one.added)
