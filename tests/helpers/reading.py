"""Contents to read, and what readers say of those that they cannot read."""

from pathlib import Path

from tagger.errors import TaggerError
from tagger.readers.source import Source


def source(content, name="given.txt", **columns):
    """Return a source that holds a text or bytes; columns are chosen by field."""
    given = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return Source(name, Path(name), columns, given)


def refusal(read, given):
    """Return the first error that reading raises, or yields in place of a row; None if none."""
    try:
        return next((row for row in read(given) if isinstance(row, TaggerError)), None)
    except TaggerError as error:
        return error
