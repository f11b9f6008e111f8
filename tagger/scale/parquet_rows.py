"""Parquet at scale: the footer tells how many rows there are, and any of them can be read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.readers.columns import Columns
from tagger.readers.source import Source
from tagger.scale.shards import Cut, Row, Shard, Table
from tagger.scale.storage import StoredFile, cannot_read, open_storage

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_BATCH_SIZE = 1024
_TAIL = 8
"""Bytes at the end: the length of the footer in four, and a mark."""


def scan_parquet(
    file: StoredFile, source: Source, columns: Mapping[str, str], rows_per_shard: int
) -> Table:
    """Find the columns of a Parquet file and where its shards begin.

    Raises
    ------
    TaggerError
        If it is no Parquet file, or no column holds the title.
    """
    system, path = open_storage(file.place)
    with _opened(file.place) as parquet:
        names, rows = tuple(parquet.schema_arrow.names), parquet.metadata.num_rows
    try:
        with system.open_input_file(path) as raw:
            raw.seek(file.size - _TAIL)
            footer = int.from_bytes(raw.read(4), "little")
            raw.seek(file.size - _TAIL - footer)
            digest = hashlib.sha256(raw.read()).hexdigest()
    except Exception as error:  # each storage raises what its own library likes
        raise cannot_read(file.place, error) from error
    Columns.find(list(names), source)
    return Table(
        place=file.place,
        name=source.name,
        size=file.size,
        changed=file.changed,
        format="parquet",
        digest=digest,
        names=names,
        columns=columns,
        cuts=tuple(
            Cut(start=start, line=start + 1, rows=min(rows_per_shard, rows - start))
            for start in range(0, rows, rows_per_shard)
        ),
    )


def parquet_rows(shard: Shard, wanted: list[str]) -> Iterator[Row]:
    """Yield the rows of a shard, with the wanted columns alone; the others are empty.

    What stands before the shard in its row group is read, too, so files of row groups not much
    larger than a shard are read fastest.

    Raises
    ------
    TaggerError
        If the file cannot be read.
    """
    names = shard.table.names
    start, stop = shard.cut.start, shard.cut.start + shard.cut.rows
    with _opened(shard.table.place) as parquet:
        groups, first, before = [], 0, 0
        for group in range(parquet.num_row_groups):
            size = parquet.metadata.row_group(group).num_rows
            if before + size <= start:
                first = before + size
            elif before < stop:
                groups.append(group)
            before += size
        number = first
        for batch in parquet.iter_batches(_BATCH_SIZE, row_groups=groups, columns=wanted):
            here = batch.slice(max(start - number, 0), max(stop - max(number, start), 0))
            at = max(number, start)
            number += len(batch)
            for given in here.to_pylist():
                at += 1
                yield Row(at, [given.get(name) for name in names], "", given)
            if number >= stop:
                return


@contextmanager
def _opened(place: str) -> Iterator[pq.ParquetFile]:
    import pyarrow.parquet as pq

    system, path = open_storage(place)
    try:
        with system.open_input_file(path) as raw, pq.ParquetFile(raw) as file:
            yield file
    except TaggerError:
        raise
    except Exception as error:  # a broken file makes it raise nearly anything
        raise TaggerError(
            f"is no Parquet file that can be read ({' '.join(str(error).split())[:300]})",
            path=place,
        ) from error
