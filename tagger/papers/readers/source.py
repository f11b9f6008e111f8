"""What is to be read: a file or standard input, its bytes, and how the caller says to read it."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TextIO

from tagger.errors import TaggerError, shown

STANDARD_INPUT = "-"
_START = 8192
_CHUNK = 1 << 20
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Encodings by the byte order mark that a file begins with."""


def check_encoding(name: str) -> None:
    """Raise :class:`LookupError` if a file cannot be in the encoding that it names."""
    # Those of host names take time that grows faster than a text does.
    if codecs.lookup(name).name in ("punycode", "idna"):
        raise LookupError(f"unknown encoding: {name}")


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Say that a file is no ``what``: libraries raise nearly anything at a broken one."""
    try:
        yield
    except (TaggerError, ModuleNotFoundError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TaggerError(f"is no {what} that can be read ({reason})") from error


@dataclass(frozen=True)
class Source:
    """One thing to read.

    Its ``name`` can be written, and is kept on each paper. In tables ``columns`` tell which column
    holds which field of a paper: ``{"title": "Article Title"}``. The content is ``given`` where it
    is not to be read from ``path``. The ``stamp`` is its size and time when it was opened.
    """

    name: str
    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    given: bytes | None = None
    stamp: tuple[int, int] | None = None

    @classmethod
    def open(cls, path: str | Path, columns: Mapping[str, str] | None = None) -> Source:
        """Take a file, a folder, or standard input (``-``); one that is empty is refused."""
        path = Path(path)
        if str(path) == STANDARD_INPUT:
            source = cls("stdin", path, columns or {}, sys.stdin.buffer.read())
        else:
            source = cls(shown(path.name), path, columns or {}, stamp=_stamp(path))
        if not source.is_folder and not source.start:
            raise TaggerError("the file is empty", path=path)
        return source

    @property
    def is_folder(self) -> bool:
        """Whether there is a folder in place of a file."""
        return self.given is None and self.path.is_dir()

    @property
    def size(self) -> int:
        """Bytes, those of its files if it is a folder."""
        if self.given is not None:
            return len(self.given)
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files if file.is_file())

    @cached_property
    def start(self) -> bytes:
        """The first bytes, at most 8,192; none of a folder."""
        return b"" if self.is_folder else self._read(_START)

    @cached_property
    def head(self) -> str:
        """The first characters, leniently decoded: enough to tell a format from its content."""
        # A tab may be the first cell of a table, so it stays.
        return self.start.decode(self._claimed, errors="replace").lstrip(" \r\n")

    @property
    def is_short(self) -> bool:
        """Whether the first bytes are all that there is."""
        return len(self._read(_START + 1)) <= _START

    @property
    def data(self) -> bytes:
        """The whole content, read anew each time; :class:`TaggerError` if it cannot be read."""
        return self._read()

    @property
    def text(self) -> str:
        """The whole content as text, read anew each time, as by :meth:`open_text`."""
        with self.open_text() as file:
            return file.read()

    def encode(self, text: str) -> bytes:
        """Return a text in the encoding of the source, with its byte order mark if it has one."""
        marks = (mark for mark in _MARKS.items() if self.start.startswith(mark[0]))
        mark, encoding = next(marks, (b"", "utf-8"))
        return mark + text.encode(encoding)

    @property
    def has_changed(self) -> bool:
        """Whether the file is another one than when it was opened, by its size and time."""
        return self.given is None and self.stamp != _stamp(self.path)

    @contextmanager
    def open_text(self, newline: str = "") -> Iterator[TextIO]:
        """Open the content, UTF-8 or with its mark UTF-16, to be read a part at a time.

        What ends a line is as for :func:`open`. Of what is no text, the error gives the line.
        """
        with self._open() as raw, io.TextIOWrapper(raw, self._encoding, newline=newline) as file:
            try:
                yield file
            except UnicodeDecodeError as error:
                raise TaggerError("was changed while it was read", path=self.path) from error

    @property
    def _claimed(self) -> str:
        return "utf-16" if self.start.startswith((codecs.BOM_LE, codecs.BOM_BE)) else "utf-8-sig"

    @cached_property
    def _encoding(self) -> str:
        """The encoding; all is decoded once, so that a page is read as a whole or not at all."""
        decoder = codecs.getincrementaldecoder(self._claimed)()
        line, chunk = 1, self.start
        with self._open() as file:
            while chunk:
                chunk = file.read(_CHUNK)
                if self._claimed != "utf-16" and b"\0" in chunk:
                    raise TaggerError("is a binary file, not a page of text", path=self.path)
                try:
                    line += decoder.decode(chunk, final=not chunk).count("\n")
                except UnicodeDecodeError as error:
                    name = "UTF-16" if self._claimed == "utf-16" else "UTF-8"
                    hint = f"Convert it first, for example: iconv -f WINDOWS-1252 -t {name} "
                    raise TaggerError(
                        f"is not {name} text (byte 0x{error.object[error.start]:02x})",
                        path=self.path,
                        line=line + error.object.count(b"\n", 0, error.start),
                        hint=hint + self.name if name == "UTF-8" else None,
                    ) from error
        return self._claimed

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        if self.given is not None:
            yield io.BytesIO(self.given)
            return
        try:
            with self.path.open("rb") as file:
                yield file
        except OSError as error:
            reason = f"cannot be read ({error.strerror or error})"
            missing = isinstance(error, FileNotFoundError)
            raise TaggerError("no such file" if missing else reason, path=self.path) from error

    def _read(self, size: int = -1) -> bytes:
        with self._open() as file:
            return file.read(size)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
