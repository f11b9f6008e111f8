"""Reader for Parquet: only the columns that matter are read, a batch of rows at a time."""

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
_ANY_ROWS = 10_000
_LEAST_BYTES = 4
"""So many a row at least: what says that it has more rows repeats one without end."""
_ANY_BYTES = 256 * 1024**2
_MOST_TIMES = 100
"""How much larger than the file it may be in memory, if it is not small anyway."""


def recognise(source: Source) -> bool:
    """Tell Parquet by its first bytes."""
    return source.start.startswith(_MARK)


def read(source: Source) -> Iterator[Paper | TaggerError]:
    """Yield the papers of a Parquet file, one a row, or why a row is none.

    The row, counted from 1, is given as line.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with parsing("Parquet file"):
        # By its path, a large file is never in memory as a whole.
        where = source.path if source.given is None else io.BytesIO(source.given)
        file = pq.ParquetFile(where)
        schema = file.schema_arrow
        columns = Columns.find(list(schema.names), source)
        _refuse_traps(file.metadata, source)
        wanted, chosen = columns.alone(schema.names)
        texts = [name for name in wanted if pa.types.is_string(schema.field(name).type)]
        # A text that stands in many rows is in memory once, and of the rows one at a time.
        file = pq.ParquetFile(where, metadata=file.metadata, read_dictionary=texts)
        rows = count(1)
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(_BATCH_SIZE, row_groups=[group], columns=wanted):
                batch.validate(full=True)
                for cells in zip(*(batch.column(name) for name in wanted), strict=True):
                    yield chosen.paper([cell.as_py() for cell in cells], source, next(rows))


def _refuse_traps(metadata: Any, source: Source) -> None:
    """Refuse a file that would be very much larger in memory, by what it says of itself."""
    rows = metadata.num_rows
    if rows > max(_ANY_ROWS, source.size // _LEAST_BYTES):
        raise TaggerError(f"says that it has {rows:,} rows, in {source.size:,} bytes")
    # Of all columns: to ask for one of them, of a broken file, ends the process (pyarrow 25).
    groups = range(metadata.num_row_groups)
    unpacked = sum(metadata.row_group(number).total_byte_size for number in groups)
    if unpacked > max(_ANY_BYTES, _MOST_TIMES * source.size):
        raise TaggerError(f"would take {unpacked / 1e6:,.0f} MB unpacked")
