"""Reader for data sets saved to disk by Hugging Face `datasets`: folders with all their splits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.columns import Columns
from tagger.papers.readers.source import Source, parsing

_STATE_FILE = "state.json"
_SPLITS_FILE = "dataset_dict.json"
_BATCH_SIZE = 1024


def recognise(source: Source) -> bool:
    return source.is_folder and is_data_set(source.path)


def is_data_set(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (_STATE_FILE, _SPLITS_FILE))


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each row of all splits, or an error for an invalid row.

    Errors give the row of the split, counted from 1, as line.
    """
    if not recognise(source):
        raise TaggerError(f"is not a saved data set: the file {_STATE_FILE} is missing")
    import datasets

    _check_links(source.path.resolve())
    with parsing("a data set"):
        loaded = datasets.load_from_disk(str(source.path))
        splits = loaded.values() if isinstance(loaded, datasets.DatasetDict) else [loaded]
        for split in splits:
            columns = Columns.find(split.column_names, source)
            if not len(split):
                continue
            wanted, chosen = columns.select(split.column_names)
            # Other columns may contain images or sound, which would be decoded.
            tables = split.select_columns(wanted).with_format("arrow").iter(_BATCH_SIZE)
            rows = count(1)
            for table in tables:
                table.validate(full=True)
                for cells in zip(*(table.column(n).to_pylist() for n in wanted), strict=True):
                    yield chosen.paper(cells, source, next(rows))


def _check_links(root: Path) -> None:
    """Refuse a data set with symbolic links or file names that point outside its folder."""
    for path in sorted(root.rglob("*")):
        if not path.resolve().is_relative_to(root):
            raise TaggerError("is a link to a file outside the data set", path=path)
        for name in _named_files(path):
            if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\:"):
                raise TaggerError(f"names a file outside the data set: {name!r}", path=path)


def _named_files(path: Path) -> list[Any]:
    """Return the file names listed in a JSON file of a data set; [] for other or broken files."""
    names: Any = None
    with suppress(OSError, ValueError, RecursionError, AttributeError, TypeError):
        if path.name == _SPLITS_FILE:
            names = json.loads(path.read_bytes()).get("splits")
        elif path.name == _STATE_FILE:
            files = json.loads(path.read_bytes()).get("_data_files")
            names = [each.get("filename") for each in files if isinstance(each, dict)]
    return names if isinstance(names, list) else []
