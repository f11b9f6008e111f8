"""Write files so that a kill or a full disk leaves the old content or the new, never a part.

What is written before the rename lies beside the file, in a folder whose name begins with a dot and
ends in ``.tmp``. The rename is atomic within a file system (POSIX ``rename``).
"""

from __future__ import annotations

import io
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from filelock import FileLock, Timeout

from tagger.errors import TaggerError, shown

_PATIENCE = 1.0
"""Seconds after which a process that waits for another says so."""
_LOG = logging.getLogger(__name__)


@contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[TextIO]:
    """Open a UTF-8 text file that takes the place of ``path``, as :func:`replacing_bytes` does."""
    with replacing_bytes(path, mode) as raw:
        file = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        yield file
        file.detach()


@contextmanager
def replacing_bytes(path: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` when the block ends well.

    Its permissions are ``mode``, or as before, or of a new file as the umask has them. If it cannot
    be written, :class:`TaggerError` names it, and what was there is kept.
    """
    with making(path) as new, new.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
        if mode is None and path.exists():
            mode = stat.S_IMODE(path.stat().st_mode)
        if mode is not None:
            new.chmod(mode)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of ``path`` when the block ends well.

    The old folder is moved aside first, so that for a moment there is none. If a kill comes just
    then, the next call puts it back.
    """
    aside = _aside(path.resolve())
    if aside.exists() and not path.exists():
        with suppress(OSError):
            aside.replace(path.resolve())
    with making(path) as new:
        new.mkdir()
        yield new


@contextmanager
def making(path: Path) -> Iterator[Path]:
    """Give a new path; what is made there takes the place of ``path`` when the block ends well."""
    try:
        # A link stays a link: what it points to is replaced.
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{path.name}.", suffix=".tmp", dir=path.parent, ignore_cleanup_errors=True
        ) as work:
            new = Path(work, "new")
            yield new
            for part in (new, *new.rglob("*")):
                _sync(part)
            aside = _aside(path) if new.is_dir() and path.is_dir() else None
            if aside:
                shutil.rmtree(aside, ignore_errors=True)
                path.replace(aside)
            try:
                new.replace(path)
            except OSError:
                if aside:
                    aside.replace(path)
                raise
            if aside:
                shutil.rmtree(aside, ignore_errors=True)
            _sync(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def append_line(path: Path, line: str) -> None:
    """Append a line to a UTF-8 file, ending one that a kill cut short; on disk at the return."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            if file.seek(0, os.SEEK_END) > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(line.encode("utf-8") + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def exclusively(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Let one process at a time change ``path``; others wait, and say so after a second.

    The lock is a file beside ``path`` that the system frees when its holder ends, however it ends.
    The holder may take it again. Without ``wait``, :class:`TaggerError` says that it is taken.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"), is_singleton=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=_PATIENCE if wait else 0)
        except Timeout as error:
            if not wait:
                hint = "Wait until it is done, or name another place"
                raise TaggerError("another run writes here", path=path.parent, hint=hint) from error
            _LOG.warning("waiting for another tagger that is at work on %s", shown(path))
            lock.acquire(timeout=-1)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        lock.release()


def cannot_write(path: str | os.PathLike[str] | None, error: OSError) -> TaggerError:
    """Say that ``path``, or without one some file, cannot be written, and why."""
    reason = error.strerror or error
    if path is None:
        return TaggerError(f"a file cannot be written ({reason})", hint="See that there is room")
    return TaggerError(f"cannot be written ({reason})", path=path)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, written to disk, where the system can."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
