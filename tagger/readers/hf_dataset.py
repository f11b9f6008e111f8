"""Reader for data sets of Hugging Face `datasets`, saved to disk: a folder, all its splits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.columns import Columns
from tagger.readers.source import Source

_STATE_FILE = "state.json"
_SPLITS_FILE = "dataset_dict.json"
_BATCH_SIZE = 1024


def is_hf_dataset(source: Source) -> bool:
    """Tell a saved data set by the files that describe it."""
    return source.is_folder and any(
        (source.path / name).is_file() for name in (_STATE_FILE, _SPLITS_FILE)
    )


def read_hf_dataset(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the papers of a saved data set, one a row, split after split, or why a row is none.

    The row of the split, counted from 1, is given as line.

    Raises
    ------
    TaggerError
        If it is no saved data set, or no column holds the title.
    """
    if not is_hf_dataset(source):
        raise TaggerError(
            f"is no folder with a saved data set: it has no {_STATE_FILE}", path=source.path
        )
    import datasets

    _refuse_traps(source)
    empty = True
    try:
        loaded = datasets.load_from_disk(str(source.path))
        splits = loaded.values() if isinstance(loaded, datasets.DatasetDict) else [loaded]
        for split in splits:
            columns = Columns.find(split.column_names, source)
            if not len(split):
                continue
            wanted = [split.column_names[position] for position in columns.positions.values()]
            chosen = Columns({field: n for n, field in enumerate(columns.positions)})
            # Other columns may hold pictures or sound, which would be decoded.
            tables = split.select_columns(wanted).with_format("arrow").iter(_BATCH_SIZE)
            row = 0
            for table in tables:
                table.validate(full=True)
                for cells in zip(*(table.column(n).to_pylist() for n in wanted), strict=True):
                    row += 1
                    yield chosen.paper(cells, source, row)
                    empty = False
    except TaggerError:
        raise
    except Exception as error:  # a broken folder makes it raise nearly anything
        raise TaggerError(
            f"is no data set that can be read ({' '.join(str(error).split())})", path=source.path
        ) from error
    if empty:
        raise TaggerError("no papers in this data set, it has no rows", path=source.path)


def _refuse_traps(source: Source) -> None:
    """Refuse a data set that names files, or leads, out of its folder."""
    root = source.path.resolve()
    for path in sorted(root.rglob("*")):
        if not path.resolve().is_relative_to(root):
            raise TaggerError("has a link that leads out of its folder", path=path)
        if path.name == _SPLITS_FILE:
            names = _read_json(path).get("splits")
        elif path.name == _STATE_FILE:
            files = _read_json(path).get("_data_files")
            names = [
                file.get("filename") if isinstance(file, dict) else None
                for file in (files if isinstance(files, list) else [])
            ]
        else:
            continue
        for name in names if isinstance(names, list) else []:
            if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\:"):
                raise TaggerError(f"names a file out of its folder: {name!r}", path=path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        content = None
    # What else is wrong with it, whoever loads it will say.
    return content if isinstance(content, dict) else {}
