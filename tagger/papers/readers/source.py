"""Sources of papers: a file, a folder or standard input, with its bytes and its encoding."""

from __future__ import annotations

import codecs
import io
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TextIO

from tagger.errors import TaggerError, shown
from tagger.papers.readers.web import fetch, is_address, name_of

STANDARD_INPUT = "-"
_START = 8192
_CHUNK = 1 << 20
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Encodings by the byte order mark of a file."""
_XML_DECLARATION = re.compile(r"\A\s*<\?xml.*?\?>", re.DOTALL)
# In comments of BibTeX files, and in the prolog of XML.
_DECLARED = re.compile(
    rb"(?:\A\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']"
    rb"|^%+ *(?:encoding *: *|.*-\*-.*coding: *))([\w.-]+)",
    re.IGNORECASE | re.MULTILINE,
)


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
        """Open a file, a folder, standard input (``-``), or fetch an address of the web.

        Raises a TaggerError if it does not exist, cannot be read or is empty.
        """
        place, path = str(path), Path(path)
        if is_address(place):
            source = cls(name_of(place), path, columns or {}, fetch(place))
        elif place == STANDARD_INPUT:
            source = cls("stdin", path, columns or {}, sys.stdin.buffer.read())
        else:
            source = cls(shown(path.name), path, columns or {}, stamp=_stamp(path))
        if not source.is_folder and not source.start:
            raise TaggerError("the file is empty", path=path)
        return source

    @property
    def is_folder(self) -> bool:
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
        start = self.start.removeprefix(self._mark)
        return start.decode(self.declared, errors="replace").lstrip(" \r\n")

    @property
    def is_short(self) -> bool:
        """Whether :attr:`start` is the whole content."""
        return len(self._read(_START + 1)) <= _START

    @property
    def data(self) -> bytes:
        """The whole content, read again on each access."""
        return self._read()

    @property
    def xml(self) -> bytes:
        """The whole content for a parser of XML: UTF-16 and UTF-32 become UTF-8, undeclared."""
        if not self.declared.startswith(("utf-16", "utf-32")):
            return self.data
        return _XML_DECLARATION.sub("", self.text, count=1).encode("utf-8", "replace")

    @property
    def text(self) -> str:
        """The whole content as text, read again on each access, as by :meth:`open_text`."""
        with self.open_text() as file:
            return file.read()

    def encode(self, text: str) -> bytes:
        """Encode a text like the source, including its byte order mark."""
        return self._mark + text.encode(self.declared, "surrogateescape")

    @property
    def has_changed(self) -> bool:
        """Whether size or modification time of the file changed after it was opened."""
        return self.content is None and self.stamp != _stamp(self.path)

    @contextmanager
    def open_text(self, newline: str = "") -> Iterator[TextIO]:
        """Open the content as a text stream in its encoding.

        Bytes that are not UTF-8 become lone surrogates, see :func:`os.fsencode`.

        ``newline`` is that of :func:`open`. Raises a TaggerError, with the line, if the content is
        not text in this encoding.
        """
        errors = "surrogateescape" if self.bad_bytes else "strict"
        with self._open() as raw:
            raw.seek(len(self._mark))
            with io.TextIOWrapper(raw, self.declared, errors, newline) as file:
                try:
                    yield file
                except UnicodeDecodeError as error:
                    raise TaggerError("changed while it was read", path=self.path) from error

    @cached_property
    def _mark(self) -> bytes:
        return next(filter(self.start.startswith, _MARKS), b"")

    @cached_property
    def declared(self) -> str:
        """The encoding of the text: by its byte order mark, zero bytes or declaration, or UTF-8."""
        if self._mark:
            return _MARKS[self._mark]
        # Letters of UTF-16 without a mark: every second byte is zero.
        for encoding, zeros in (
            ("utf-16-le", self.start[1:64:2]),
            ("utf-16-be", self.start[:64:2]),
        ):
            if len(zeros) > 1 and zeros.count(0) > 0.7 * len(zeros):
                return encoding
        found = _DECLARED.search(self.start)
        name = found[1].decode("ascii") if found else "utf-8"
        try:
            check_encoding(name)
        except LookupError:
            return "utf-8"
        # A program that declares another encoding often writes UTF-8.
        return "utf-8" if _is_utf8(self.start) else name

    @property
    def has_escapes(self) -> bool:
        """Whether :meth:`open_text` was used and makes lone surrogates of bytes."""
        return vars(self).get("bad_bytes") is not None

    @cached_property
    def bad_bytes(self) -> TaggerError | None:
        """An error with the line of the first byte that is not UTF-8, if there is one.

        Raises a TaggerError if the content is binary, or is not text in another encoding.
        """
        decoder = codecs.getincrementaldecoder(self.declared)()
        line, chunk = 1, self.start
        with self._open() as file:
            while chunk:
                chunk = file.read(_CHUNK)
                if "16" not in self.declared and "32" not in self.declared and b"\0" in chunk:
                    raise TaggerError("is a binary file, not a text file", path=self.path)
                try:
                    line += decoder.decode(chunk, final=not chunk).count("\n")
                except UnicodeDecodeError as error:
                    bad = not_text(
                        self.declared,
                        error.object[error.start],
                        line + error.object.count(b"\n", 0, error.start),
                    ).at(self.path)
                    if "utf-8" not in self.declared:
                        raise bad from error
                    return bad
        return None

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


def not_text(encoding: str, byte: int, line: int | None) -> TaggerError:
    """Return an error about a byte that is not text in an encoding."""
    name = re.sub(r"-[LB]E$", "", encoding.upper())
    return TaggerError(
        f"is not {name} text (byte 0x{byte:02x})",
        line=line,
        hint="Export it again as UTF-8, or save it as UTF-8 in a program that shows it correctly",
    )


def _is_utf8(start: bytes) -> bool:
    """Return whether bytes are the beginning of UTF-8 text that is not plain ASCII."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return not start.isascii()


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
