"""Read papers from files, one file a format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.digest import read_digest

__all__ = ["read_papers"]


def read_papers(
    paths: Iterable[str | Path], on_error: Callable[[TaggerError], None] | None = None
) -> Iterator[Paper]:
    """Yield the papers of each file in turn, repeats included.

    A file is read as a whole before its first paper is given, so a file that does not parse
    gives none.

    Parameters
    ----------
    paths:
        Files to read. One that is named twice is read once.
    on_error:
        Called with the reason for each file that cannot be read; the others are still read.
        Without it the first such file ends the reading.

    Raises
    ------
    TaggerError
        If a file cannot be read and ``on_error`` is not given.
    """
    for path in dict.fromkeys(Path(path) for path in paths):
        try:
            papers = _read_file(path)
        except TaggerError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        yield from papers


def _read_file(path: Path) -> list[Paper]:
    text = _read_text(path)
    try:
        return read_digest(text, source=path.name)
    except TaggerError as error:
        raise TaggerError(error.problem, path=path, line=error.line, hint=error.hint) from error


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise TaggerError("no such file", path=path) from error
    except IsADirectoryError as error:
        raise TaggerError(
            "is a directory", path=path, hint=f"Name the files in it, for example {path}/*.txt"
        ) from error
    except OSError as error:
        raise TaggerError(f"cannot be read ({error.strerror or error})", path=path) from error
    if not data:
        raise TaggerError("the file is empty", path=path)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _not_utf8(path, 1, "it begins with a UTF-16 mark")
    if b"\0" in data:
        raise TaggerError("is a binary file, not a page of text", path=path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _not_utf8(path, line, f"byte 0x{data[error.start]:02x}") from error


def _not_utf8(path: Path, line: int, reason: str) -> TaggerError:
    return TaggerError(
        f"is not UTF-8 text ({reason})",
        path=path,
        line=line,
        hint=f"Convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8 {path.name}",
    )
