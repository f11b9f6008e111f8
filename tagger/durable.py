"""Writes that survive a kill: a whole file is replaced at once, a line is on disk when reported.

The rename is atomic within a file system (POSIX ``rename``), so a reader sees the old file or
the new one, never a part of either. What is written before the rename stands beside the file under
a name that begins with a dot and ends in ``.tmp``, locked by its writer; one whose writer was
killed goes when the same file is written next.
"""

from __future__ import annotations

import ctypes
import io
import logging
import os
import re
import shutil
import stat
import sys
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
    """Open a UTF-8 text file that takes the place of ``path`` when the block ends well.

    Parameters and errors are those of :func:`replacing_bytes`.
    """
    with replacing_bytes(path, mode) as raw:
        file = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        yield file
        file.detach()


@contextmanager
def replacing_bytes(path: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """Open a file that takes the place of ``path`` when the block ends well.

    Parameters
    ----------
    path:
        The file; its folder is made if missing.
    mode:
        Who may read and write it, as for ``chmod``; by default as before, or 0644 for a new file.

    Raises
    ------
    TaggerError
        If the folder cannot be written to; what stood at ``path`` is left as it was.
    """
    try:
        # A link stays a link: the file that it points to is replaced.
        path = path.resolve()
        if mode is None:
            mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        temporary, handle = _begin(path, folder=False)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of ``path`` when the block ends well.

    Where the system cannot let two folders change places (Linux can), the old one is moved aside
    first, so that for a moment there is none; if a kill leaves it there, the next call puts it
    back.

    Raises
    ------
    TaggerError
        If the folder cannot be written to; what stood at ``path`` is left as it was.
    """
    path = path.resolve()
    with _room_beside(path) as work:
        new, old = work / "new", work / "old"
        new.mkdir()
        yield new
        for part in new.rglob("*"):
            _sync(part)
        if not path.exists():
            new.replace(path)
        elif not _exchange(new, path):
            path.replace(old)
            try:
                new.replace(path)
            except OSError:
                old.replace(path)
                raise


@contextmanager
def making(path: Path) -> Iterator[Path]:
    """Give a place where a library can make a file that moves to ``path`` when the block ends well.

    Raises
    ------
    TaggerError
        If the folder cannot be written to.
    """
    with _room_beside(path) as work:
        new = work / "new"
        yield new
        _sync(new)
        new.replace(path)


@contextmanager
def _room_beside(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path`` that goes when the block ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        work, handle = _begin(path, folder=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield work
        _sync(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(handle)


def append_line(path: Path, line: str) -> None:
    """Append one line to a UTF-8 text file and return when it is on disk.

    A last line that a kill left without its newline is closed first, so that the new line never
    runs into it.

    Raises
    ------
    TaggerError
        If the file cannot be written to.
    """
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
    """Let one process at a time change ``path``; others wait for it, and say so after a second.

    The lock is a file beside ``path`` that the system frees when its holder ends, however it ends.

    Parameters
    ----------
    path:
        What is changed.
    wait:
        Whether to wait for another process.

    Raises
    ------
    TaggerError
        If the folder cannot be written to, or another process holds the lock and is not waited for.
    """
    # One lock a path in this process: whoever holds it may take it again.
    lock = FileLock(path.with_name(f".{path.name}.lock"), is_singleton=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=_PATIENCE if wait else 0)
        except Timeout as error:
            if not wait:
                raise TaggerError(
                    "another run writes here",
                    path=path.parent,
                    hint="Wait until it is done, or name another place",
                ) from error
            _LOG.warning("waiting for another tagger that is at work on %s", shown(path))
            lock.acquire(timeout=-1)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        lock.release()


def cannot_write(path: str | os.PathLike[str] | None, error: OSError) -> TaggerError:
    """Say that ``path``, or without one something, cannot be written, and why."""
    reason = error.strerror or error
    if path is None:
        return TaggerError(f"a file cannot be written ({reason})", hint="See that there is room")
    return TaggerError(f"cannot be written ({reason})", path=path)


def _begin(path: Path, folder: bool) -> tuple[Path, int]:
    """Make a temporary file or folder beside ``path``; return it, open and locked."""
    while True:
        if folder:
            name = tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
            handle = os.open(name, os.O_RDONLY)
        else:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        _lock(handle, wait=True)
        # Another process may have taken it for a leftover before it was locked.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), Path(name).stat()):
                return Path(name), handle
        os.close(handle)


def _sweep(path: Path) -> None:
    """Take away what killed writers of ``path`` left, and put back what one had moved aside."""
    leftover = re.compile(re.escape(f".{path.name}.") + r"[a-z0-9_]{8}\.tmp")
    for found in path.parent.iterdir():
        if not leftover.fullmatch(found.name):
            continue
        with suppress(OSError):
            handle = os.open(found, os.O_RDONLY)
            try:
                if not _lock(handle, wait=False):
                    continue
                if found.is_dir():
                    if (found / "old").exists() and not path.exists():
                        (found / "old").replace(path)
                    shutil.rmtree(found)
                else:
                    found.unlink()
            finally:
                os.close(handle)


def _lock(handle: int, wait: bool) -> bool:
    """Lock an open file until it is closed, or its process ends; tell whether it is locked."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        # Another process has it, or the file system knows no locks.
        return False
    return True


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; tell whether the system could."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, written to disk, where the system can."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
