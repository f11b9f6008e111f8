"""Where tables lie: files of this machine or a shared one, or URLs of object storage.

Paths and URLs of what Arrow knows (``file``, ``s3``, ``gs``, ``abfs``, ``hdfs``) are read by Arrow,
all others by fsspec, if what fsspec needs for them is installed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tagger.errors import TaggerError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_PATTERN = frozenset("*?[")
_ASIDE = (".", "_")
"""Names that begin so are not data: locks, markers of success, checksums."""
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as its storage describes it.

    Parameters
    ----------
    place:
        Path or URL.
    size:
        Bytes.
    changed:
        When it was last written, in nanoseconds since 1970; None where the storage does not tell.
    """

    place: str
    size: int
    changed: int | None


def open_storage(place: str) -> tuple[FileSystem, str]:
    """Return the file system of a path or URL, and the path within it.

    Raises
    ------
    TaggerError
        If there is no such storage, or what is needed to reach it is not installed.
    """
    from pyarrow import ArrowException
    from pyarrow.fs import FileSystem, FSSpecHandler, LocalFileSystem, PyFileSystem

    if "://" not in place:
        return LocalFileSystem(), str(Path(place).absolute())
    if "::" not in place:
        try:
            known: tuple[FileSystem, str] = FileSystem.from_uri(place)
            return known
        except (ArrowException, ValueError):
            # Not one of Arrow's own.
            pass
        except OSError as error:
            raise _unreachable(place, error) from error
    try:
        from fsspec.core import url_to_fs

        files, path = url_to_fs(place)
    except Exception as error:  # each storage raises what its own library likes
        raise _unreachable(place, error) from error
    return PyFileSystem(FSSpecHandler(files)), path


def find_files(places: Sequence[str]) -> list[StoredFile]:
    """Return the files of paths, URLs, folders and patterns, each once.

    The files of a folder and of a pattern are in the order of their names.

    Raises
    ------
    TaggerError
        If there is no such file, or a folder has none.
    """
    found: dict[str, StoredFile] = {}
    for place in places:
        files = list(_find(place))
        if not files:
            raise TaggerError("no such file", path=place)
        for file in files:
            found.setdefault(file.place, file)
    return list(found.values())


@contextmanager
def reading(place: str, offset: int = 0) -> Iterator[BinaryIO]:
    """Give the bytes of a file from ``offset`` on; a compressed file is decompressed.

    Raises
    ------
    TaggerError
        If it cannot be read.
    """
    import pyarrow as pa

    system, path = open_storage(place)
    try:
        stream, left = system.open_input_stream(path, buffer_size=_CHUNK), offset
        if offset and not isinstance(stream, pa.CompressedInputStream):
            stream.close()
            stream, left = system.open_input_file(path), 0
            stream.seek(offset)
        # In a compressed file there is no other way to a place than through what is before it.
        while left > 0:
            skipped = len(stream.read(min(left, _CHUNK)))
            if not skipped:
                break
            left -= skipped
    except Exception as error:  # each storage raises what its own library likes
        raise cannot_read(place, error) from error
    with io.BufferedReader(stream, _CHUNK) as file:
        yield file


def cannot_read(place: str, error: Exception) -> TaggerError:
    """Say that a file cannot be read, and why."""
    return TaggerError(f"cannot be read ({' '.join(str(error).split())[:300]})", path=place)


def _find(place: str) -> Iterator[StoredFile]:
    from pyarrow.fs import FileSelector, FileType

    system, path = open_storage(place)
    try:
        info = system.get_file_info([path])[0]
        if info.type == FileType.File:
            yield StoredFile(place, info.size, info.mtime_ns)
            return
        folder, prefix, pattern = path, place.rstrip("/"), ""
        if info.type == FileType.NotFound:
            if not _PATTERN & set(path):
                return
            folder, pattern = _above_pattern(path), path
            prefix = place[: len(place) - len(path) + len(folder)]
        inside = system.get_file_info(FileSelector(folder, allow_not_found=True, recursive=True))
    except Exception as error:  # each storage raises what its own library likes
        raise cannot_read(place, error) from error
    for each in sorted(inside, key=lambda entry: entry.path):
        within = each.path[len(folder.rstrip("/")) :].strip("/")
        hidden = any(part.startswith(_ASIDE) for part in within.split("/"))
        if each.type != FileType.File or hidden or (pattern and not fnmatch(each.path, pattern)):
            continue
        yield StoredFile(f"{prefix.rstrip('/')}/{within}", each.size, each.mtime_ns)


def _above_pattern(path: str) -> str:
    """Return the folder below which all that a pattern may mean lies."""
    first = min(path.index(mark) for mark in _PATTERN & set(path))
    return path[:first].rpartition("/")[0]


def _unreachable(place: str, error: Exception) -> TaggerError:
    return TaggerError(
        f"this storage cannot be reached ({' '.join(str(error).split())[:300]})",
        path=place,
        hint="Name a path, or a URL of object storage such as s3://bucket/folder",
    )
