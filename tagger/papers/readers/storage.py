"""Find and open files on this machine, on a shared disk, in object storage, or on the web.

Addresses of the web are for :mod:`.web`. Arrow reads the URLs that it supports (``file``, ``s3``,
``gs``, ``abfs``, ``hdfs``); fsspec reads all others, if the package for their protocol is
installed. Local files need neither.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from tagger.errors import TaggerError, missing_package
from tagger.papers.own_files import MANIFEST_FILE, NEAR_DUPLICATES_FILE
from tagger.papers.readers.hf_dataset import is_data_set
from tagger.papers.readers.web import is_address

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_PATTERN = frozenset("*?[")
_HIDDEN = (".", "_")
"""Prefixes of files that are not data: locks, success markers, checksums."""
_ABOUT_DATA = re.compile(
    r"licen[cs]e-\w+|(?:readme|licen[cs]e|citation|dataset_infos?)"
    r"(?:(?:\.[a-z]{2}(?:-\w+)?)?\.(?:md|txt|rst|html|cff|json|bib))?",
    re.IGNORECASE,
)
"""Whole names of files that describe a folder, such as a data set cloned from the Hugging Face Hub:
LICENSE-MIT, README.zh-CN.md, CITATION.cff. A download such as citation-33301246.nbib has papers."""
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".br")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file by its path or URL (``place``), with its size in bytes.

    ``changed`` is the time of the last change in nanoseconds since 1970, None if unknown.
    """

    place: str
    size: int
    changed: int | None


def find_files(places: Sequence[str]) -> list[StoredFile]:
    """Return the distinct files of paths, URLs, folders and patterns, sorted by name in a folder.

    A path that does not exist is returned, and is reported when it is read. A folder with a saved
    data set of Hugging Face counts as one file. In a pattern, ``*`` stays in a folder, ``**`` does
    not. Of a folder, files with the name of a description (README.md, LICENSE, CITATION.cff) and
    result folders below it are left out. Raises a TaggerError if a folder or pattern contains no
    file, or its storage cannot be reached.
    """
    found: dict[str, StoredFile] = {}
    for place in places:
        files = [_on_this_machine(place)] if _is_one_file(place) else list(_find(place))
        if not files:
            folder = "://" not in place and Path(place).is_dir()
            raise TaggerError("no file in this folder" if folder else "no such file", path=place)
        found |= {file.place: file for file in files if file.place not in found}
    return list(found.values())


def is_local_and_uncompressed(place: str) -> bool:
    """Return whether ``place`` is a path on this machine, not that of a compressed file."""
    return "://" not in place and not _name_of(place).endswith(_COMPRESSED)


@contextmanager
def local_file(place: str) -> Iterator[Path | str]:
    """Provide a file itself if it is local and uncompressed, else a temporary copy that is both.

    Raises a TaggerError if the file cannot be read or its storage cannot be reached.
    """
    if is_address(place) or is_local_and_uncompressed(place):
        yield place
        return
    name = _name_of(place)
    with tempfile.TemporaryDirectory(prefix="tagger-") as folder:
        copy = Path(folder) / name
        if name.endswith(_COMPRESSED):
            copy = copy.with_suffix("")
        system, path = _open_storage(place)
        with (
            _storage_errors(place, "cannot be read"),
            system.open_input_stream(path) as source,
            copy.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, 2**20)
        yield copy


def _name_of(place: str) -> str:
    return place.split("::")[0].rstrip("/").rpartition("/")[2]


def _is_one_file(place: str) -> bool:
    if "://" in place:
        return is_address(place)
    path = Path(place)
    if path.is_dir():
        return is_data_set(path)
    return path.exists() or not _PATTERN & set(place)


def _on_this_machine(place: str) -> StoredFile:
    try:
        found = Path(place).stat()
    except OSError:
        # Not there, or on the web: now, for it may be another one the next time.
        return StoredFile(place, 0, time.time_ns())
    return StoredFile(place, found.st_size, found.st_mtime_ns)


def _find(place: str) -> Iterator[StoredFile]:
    system, path = _open_storage(place)
    from pyarrow.fs import FileSelector, FileType

    with _storage_errors(place, "cannot be read"):
        info = system.get_file_info([path])[0]
        if info.type == FileType.File:
            yield StoredFile(place, info.size, info.mtime_ns)
            return
        folder, prefix, pattern = path, place.rstrip("/"), ""
        if info.type == FileType.NotFound:
            if not _PATTERN & set(path):
                return
            # The deepest folder that contains all possible matches of the pattern.
            first = min(path.index(mark) for mark in _PATTERN & set(path))
            folder, pattern = path[:first].rpartition("/")[0], path
            prefix = place[: len(place) - len(path) + len(folder)]
        inside = system.get_file_info(FileSelector(folder, allow_not_found=True, recursive=True))
    results = () if pattern else _result_folders(folder, {each.path for each in inside})
    for each in sorted(inside, key=lambda entry: entry.path):
        within = each.path[len(folder.rstrip("/")) :].strip("/")
        parts = within.split("/")
        is_hidden = any(part.startswith(_HIDDEN) for part in parts)
        if pattern:
            wanted = _matches(each.path.split("/"), pattern.split("/"))
        else:
            wanted = not _ABOUT_DATA.fullmatch(parts[-1]) and not each.path.startswith(results)
        if each.type == FileType.File and wanted and not is_hidden:
            yield StoredFile(f"{prefix.rstrip('/')}/{within}", each.size, each.mtime_ns)


def _result_folders(folder: str, paths: Set[str]) -> tuple[str, ...]:
    """Return the result folders below a folder, each with a slash at its end."""
    found = {
        path.removesuffix(MANIFEST_FILE) for path in paths if path.endswith(f"/{MANIFEST_FILE}")
    }
    found.discard(f"{folder.rstrip('/')}/")
    return tuple(each for each in found if each + NEAR_DUPLICATES_FILE in paths)


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether the parts of a path match those of a pattern; ``**`` stands for any parts."""
    if not path or not pattern:
        return not path and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return _matches(path, pattern[1:]) or _matches(path[1:], pattern)
    return fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])


def _open_storage(place: str) -> tuple[FileSystem, str]:
    """Return the file system of a path or URL, and the path within it."""
    try:
        from pyarrow import ArrowException
        from pyarrow.fs import FileSystem, FSSpecHandler, LocalFileSystem, PyFileSystem
    except ModuleNotFoundError as error:
        raise missing_package(error, "scale") from error
    if "://" not in place:
        return LocalFileSystem(), str(Path(place).absolute())
    with _storage_errors(place, "this storage cannot be reached"):
        if "::" not in place:
            try:
                known: tuple[FileSystem, str] = FileSystem.from_uri(place)
                return known
            except (ArrowException, ValueError):
                pass  # not a protocol that Arrow supports
        from fsspec.core import url_to_fs

        files, path = url_to_fs(place)
        return PyFileSystem(FSSpecHandler(files)), path


@contextmanager
def _storage_errors(place: str, problem: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each storage library raises its own exceptions
        reason = " ".join(str(error).split())[:300]
        raise TaggerError(f"{problem} ({reason})", path=place) from error
