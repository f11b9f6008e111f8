"""Writes that survive a kill: a whole file is replaced at once, a line is on disk when reported.

The rename is atomic within a file system (POSIX ``rename``), so a reader sees the old file or
the new one, never a part of either.
"""

from __future__ import annotations

import io
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from filelock import FileLock, Timeout

from tagger.errors import TaggerError


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
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise cannot_write(path, error) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of ``path`` when the block ends well.

    A folder cannot be replaced in one step: the old one is moved aside first, so that for a moment
    there is none, and put back if the new one cannot be moved in.

    Raises
    ------
    TaggerError
        If the folder cannot be written to; what stood at ``path`` is left as it was.
    """
    try:
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
    except OSError as error:
        raise cannot_write(path, error) from error
    new, old = work / "new", work / "old"
    try:
        new.mkdir()
        yield new
        if path.exists():
            path.replace(old)
        try:
            new.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


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
    """Let one process at a time change ``path``; others wait for it.

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
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        raise TaggerError(
            "another run writes here",
            path=path.parent,
            hint="Wait until it is done, or name another place",
        ) from error
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        lock.release()


def cannot_write(path: Path, error: OSError) -> TaggerError:
    """Say that ``path`` cannot be written, and why."""
    return TaggerError(f"cannot be written ({error.strerror or error})", path=path)
