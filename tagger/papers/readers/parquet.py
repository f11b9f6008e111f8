"""Reader for Parquet files; only the columns of a paper are read, in batches of rows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import count
from typing import Any

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.columns import Columns
from tagger.papers.readers.source import Source, parsing

_MARK = b"PAR1"
_BATCH_SIZE = 1024
_FREE_ROWS = 10_000
_MIN_BYTES_PER_ROW = 4
"""A file with more than ``_FREE_ROWS`` rows and fewer bytes a row repeats one row endlessly."""
_FREE_BYTES = 256 * 1024**2
_MAX_RATIO = 100
"""Limit on the size in memory above ``_FREE_BYTES``, as a multiple of the size of the file."""


def recognise(source: Source) -> bool:
    return source.start.startswith(_MARK)


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the paper of each row of a Parquet file, or an error for an invalid row.

    Errors give the row, counted from 1, as line.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with parsing("a Parquet file"):
        # Opened by path, a large file is never in memory as a whole.
        where = source.path if source.content is None else io.BytesIO(source.content)
        file = pq.ParquetFile(where)
        schema = file.schema_arrow
        columns = Columns.find(list(schema.names), source)
        _check_size(file.metadata, source)
        wanted, chosen = columns.select(schema.names)
        texts = [name for name in wanted if pa.types.is_string(schema.field(name).type)]
        # Dictionary encoding keeps a text that is repeated in many rows in memory once.
        file = pq.ParquetFile(where, metadata=file.metadata, read_dictionary=texts)
        rows = count(1)
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(_BATCH_SIZE, row_groups=[group], columns=wanted):
                batch.validate(full=True)
                for cells in zip(*(batch.column(name) for name in wanted), strict=True):
                    yield chosen.paper([cell.as_py() for cell in cells], source, next(rows))


def _check_size(metadata: Any, source: Source) -> None:
    """Refuse a file whose metadata declare far more rows or bytes than its size allows."""
    rows = metadata.num_rows
    if rows > max(_FREE_ROWS, source.size // _MIN_BYTES_PER_ROW):
        raise TaggerError(
            f"declares {rows:,} rows in only {source.size:,} bytes; the file may be harmful"
        )
    # The size of all columns: asking for that of one ends the process if the file is broken
    # (pyarrow 25).
    groups = range(metadata.num_row_groups)
    unpacked = sum(metadata.row_group(number).total_byte_size for number in groups)
    if unpacked > max(_FREE_BYTES, _MAX_RATIO * source.size):
        raise TaggerError(
            f"takes {unpacked / 1e6:,.0f} MB unpacked, more than {_MAX_RATIO} times its size"
        )
