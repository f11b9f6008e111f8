"""Sources of papers: a file, a folder or standard input, with its bytes and its encoding."""

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
"""Encodings by the byte order mark of a file."""


def check_encoding(name: str) -> None:
    """Raise :class:`LookupError` if a declared encoding is unknown or not an encoding of texts."""
    # The encodings of host names take time that grows faster than the length of the text.
    if codecs.lookup(name).name in ("punycode", "idna"):
        raise LookupError(f"unknown encoding: {name}")


@contextmanager
def parsing(format_name: str) -> Iterator[None]:
    """Convert any exception of a parsing library to a :class:`TaggerError`."""
    try:
        yield
    except (TaggerError, ModuleNotFoundError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TaggerError(f"cannot be read as {format_name} ({reason})") from error


@dataclass(frozen=True)
class Source:
    """One source of papers.

    Parameters
    ----------
    name:
        Printable name, recorded in the sources of each paper.
    path:
        The file or folder.
    columns:
        For tables, the name of the column of each field: ``{"title": "Article Title"}``.
    content:
        The content, if it is not read from ``path``.
    stamp:
        Size and modification time (ns) of the file when it was opened.
    """

    name: str
    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    stamp: tuple[int, int] | None = None

    @classmethod
    def open(cls, path: str | Path, columns: Mapping[str, str] | None = None) -> Source:
        """Open a file, a folder, or standard input (``-``).

        Raises
        ------
        TaggerError
            If it does not exist, cannot be read or is empty.
        """
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
        """Whether the source is a folder."""
        return self.content is None and self.path.is_dir()

    @property
    def size(self) -> int:
        """Size in bytes; of a folder, the size of all its files."""
        if self.content is not None:
            return len(self.content)
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files if file.is_file())

    @cached_property
    def start(self) -> bytes:
        """The first 8,192 bytes; empty for a folder."""
        return b"" if self.is_folder else self._read(_START)

    @cached_property
    def head(self) -> str:
        """The first characters, leniently decoded, to recognise the format."""
        # A tab may be an empty first cell of a table, so it is kept.
        return self.start.decode(self._declared, errors="replace").lstrip(" \r\n")

    @property
    def is_short(self) -> bool:
        """Whether :attr:`start` is the whole content."""
        return len(self._read(_START + 1)) <= _START

    @property
    def data(self) -> bytes:
        """The whole content, read again on each access."""
        return self._read()

    @property
    def text(self) -> str:
        """The whole content as text, read again on each access, as by :meth:`open_text`."""
        with self.open_text() as file:
            return file.read()

    def encode(self, text: str) -> bytes:
        """Encode a text like the source, including its byte order mark."""
        marks = (mark for mark in _MARKS.items() if self.start.startswith(mark[0]))
        mark, encoding = next(marks, (b"", "utf-8"))
        return mark + text.encode(encoding)

    @property
    def has_changed(self) -> bool:
        """Whether size or modification time of the file changed after it was opened."""
        return self.content is None and self.stamp != _stamp(self.path)

    @contextmanager
    def open_text(self, newline: str = "") -> Iterator[TextIO]:
        """Open the content as a text stream: UTF-8, or UTF-16 with a byte order mark.

        ``newline`` is that of :func:`open`.

        Raises
        ------
        TaggerError
            With the line, if the content is not text in this encoding.
        """
        with self._open() as raw, io.TextIOWrapper(raw, self._encoding, newline=newline) as file:
            try:
                yield file
            except UnicodeDecodeError as error:
                raise TaggerError("changed while it was read", path=self.path) from error

    @property
    def _declared(self) -> str:
        return "utf-16" if self.start.startswith((codecs.BOM_LE, codecs.BOM_BE)) else "utf-8-sig"

    @cached_property
    def _encoding(self) -> str:
        """The encoding, after a check that the whole content can be decoded."""
        decoder = codecs.getincrementaldecoder(self._declared)()
        line, chunk = 1, self.start
        with self._open() as file:
            while chunk:
                chunk = file.read(_CHUNK)
                if self._declared != "utf-16" and b"\0" in chunk:
                    raise TaggerError("is a binary file, not a text file", path=self.path)
                try:
                    line += decoder.decode(chunk, final=not chunk).count("\n")
                except UnicodeDecodeError as error:
                    name = "UTF-16" if self._declared == "utf-16" else "UTF-8"
                    hint = f"Convert it, for example: iconv -f WINDOWS-1252 -t {name} "
                    raise TaggerError(
                        f"is not {name} text (byte 0x{error.object[error.start]:02x})",
                        path=self.path,
                        line=line + error.object.count(b"\n", 0, error.start),
                        hint=hint + self.name if name == "UTF-8" else None,
                    ) from error
        return self._declared

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        if self.content is not None:
            yield io.BytesIO(self.content)
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
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
