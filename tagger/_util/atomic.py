"""Write files atomically: after a crash or on a full disk, a file has its old or its new content.

New content is written to a temporary folder next to the file (``.NAME.*.tmp``) and then renamed.
The rename is atomic within a file system (POSIX ``rename``).
Temporary folders of a killed process are deleted when the same file is written a day later.
"""

from __future__ import annotations

import glob
import io
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from filelock import FileLock, Timeout

from tagger.errors import TaggerError, shown

_PATIENCE = 1.0
"""Seconds to wait for a lock before logging that the process waits."""
_LEFT_BEHIND = 86_400
"""Age in seconds from which a temporary folder is considered left by a killed process."""
_LOG = logging.getLogger(__name__)


@contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[TextIO]:
    """Open a UTF-8 text file that replaces ``path``, like :func:`replacing_bytes`."""
    with replacing_bytes(path, mode) as raw:
        file = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        yield file
        file.detach()


@contextmanager
def replacing_bytes(path: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """Open a binary file that replaces ``path`` when the block ends without an exception.

    The permissions are ``mode``, else those of the old file, else those that the umask gives to a
    new file. Raises a TaggerError if the file cannot be written; the old file is then kept.
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
    """Provide an empty folder that replaces ``path`` when the block ends without an exception.

    The old folder is renamed before the new one takes its name, so for a moment ``path`` does not
    exist. If the process is killed at that moment, the next call restores the old folder.
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
    """Provide a temporary path; the file or folder created there replaces ``path`` at the end.

    Raises a TaggerError if it cannot be written; ``path`` stays as it was.
    """
    try:
        # A symbolic link is kept: its target is replaced.
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
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


@contextmanager
def exclusively(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock on ``path``, so that one process at a time changes it.

    Other processes wait, and log a warning after one second. The lock is a file next to ``path``;
    the operating system releases it when the process ends, even after a crash. It is reentrant.
    Raises a TaggerError if another process holds the lock and ``wait`` is false, or the lock file
    cannot be written.
    """
    try:
        # Links to one file have one lock.
        real = path.resolve()
        lock = FileLock(real.with_name(f".{real.name}.lock"), is_singleton=True)
        real.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=_PATIENCE if wait else 0)
        except Timeout as error:
            if not wait:
                hint = "Wait until it has finished, or choose another folder"
                raise TaggerError(
                    "another tagger process writes to this folder", path=path.parent, hint=hint
                ) from error
            _LOG.warning("waiting for another tagger process that uses %s", shown(path))
            lock.acquire(timeout=-1)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        lock.release()


def cannot_write(path: str | os.PathLike[str] | None, error: OSError) -> TaggerError:
    """Return an error that says that ``path`` (None: an unknown file) cannot be written."""
    reason = error.strerror or error
    if path is None:
        return TaggerError(f"a file cannot be written ({reason})", hint="Check the free disk space")
    return TaggerError(f"cannot be written ({reason})", path=path)


def _sweep(path: Path) -> None:
    """Delete temporary folders of processes that were killed while they wrote ``path``."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_BEHIND:
                shutil.rmtree(left)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _sync(path: Path) -> None:
    """Flush a file or a folder to disk, if the system supports it."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
