"""What is to be read: a file or standard input, its bytes, and how the caller says to read it."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tagger.errors import TaggerError, shown

STANDARD_INPUT = "-"
_START = 8192
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def check_encoding(name: str) -> None:
    """Refuse an encoding that a file says it is in, but that no file is in.

    Raises
    ------
    LookupError
        If there is no such encoding of texts, or it is one of host names, which takes the longer
        the longer a text is.
    """
    if codecs.lookup(name).name in ("punycode", "idna"):
        raise LookupError(f"unknown encoding: {name}")


@dataclass(frozen=True)
class Source:
    """One thing to read.

    Parameters
    ----------
    name:
        The file's name, kept on each paper; text that can be written.
    path:
        Where it is, for reading and for messages.
    columns:
        For tables, which column holds which field of a paper: ``{"title": "Article Title"}``.
    given:
        The content where it is not to be read from ``path``.
    """

    name: str
    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    given: bytes | None = None

    @classmethod
    def open(cls, path: str | Path, columns: Mapping[str, str] | None = None) -> Source:
        """Take a file, a folder, or with ``-`` what stands on standard input.

        Raises
        ------
        TaggerError
            If there is no such file, or it cannot be read or is empty.
        """
        path = Path(path)
        if str(path) == STANDARD_INPUT:
            source = cls("stdin", path, columns or {}, sys.stdin.buffer.read())
        else:
            source = cls(shown(path.name), path, columns or {})
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
        encoding = "utf-16" if self.start.startswith(_UTF16_MARKS) else "utf-8-sig"
        # A tab may be the first cell of a table, so it stays.
        return self.start.decode(encoding, errors="replace").lstrip(" \r\n")

    @cached_property
    def data(self) -> bytes:
        """The whole content.

        Raises
        ------
        TaggerError
            If it cannot be read.
        """
        return self._read(None)

    @cached_property
    def text(self) -> str:
        """The content as text.

        Raises
        ------
        TaggerError
            If it is not UTF-8 text; the line is given.
        """
        if self.data.startswith(_UTF16_MARKS):
            raise self._not_utf8(1, "it begins with a UTF-16 mark")
        if b"\0" in self.data:
            raise TaggerError("is a binary file, not a page of text", path=self.path)
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self.data.count(b"\n", 0, error.start) + 1
            raise self._not_utf8(line, f"byte 0x{self.data[error.start]:02x}") from error

    @cached_property
    def table_text(self) -> str:
        """The content as text, which may be UTF-16, as spreadsheets export it.

        Raises
        ------
        TaggerError
            If it is neither UTF-8 nor UTF-16 text.
        """
        if not self.data.startswith(_UTF16_MARKS):
            return self.text
        try:
            return self.data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise TaggerError(
                f"begins with a UTF-16 mark, but is not UTF-16 text ({error.reason})",
                path=self.path,
            ) from error

    def _read(self, size: int | None) -> bytes:
        if self.given is not None:
            return self.given[:size]
        try:
            with self.path.open("rb") as file:
                return file.read(size)
        except FileNotFoundError as error:
            raise TaggerError("no such file", path=self.path) from error
        except OSError as error:
            raise TaggerError(
                f"cannot be read ({error.strerror or error})", path=self.path
            ) from error

    def _not_utf8(self, line: int, reason: str) -> TaggerError:
        return TaggerError(
            f"is not UTF-8 text ({reason})",
            path=self.path,
            line=line,
            hint=f"Convert it first, for example: iconv -f WINDOWS-1252 -t UTF-8 {self.name}",
        )
