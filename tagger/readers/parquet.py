"""Reader for Parquet: only the columns that matter are read, a batch of rows at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.columns import Columns
from tagger.readers.source import Source

_MARK = b"PAR1"
_BATCH_SIZE = 1024


def is_parquet(source: Source) -> bool:
    """Tell Parquet by its first bytes."""
    return source.start.startswith(_MARK)


def read_parquet(source: Source) -> Iterator[Paper]:
    """Yield the papers of a Parquet file, one a row.

    Raises
    ------
    TaggerError
        If it is no Parquet file, no column holds the title, or a row has no title; the row,
        counted from 1, is given as line.
    """
    import pyarrow.parquet as pq

    try:
        # By its path, a large file is never in memory as a whole.
        where = source.path if source.given is None else io.BytesIO(source.given)
        file = pq.ParquetFile(where)
        names = list(file.schema_arrow.names)
        columns = Columns.find(names, source)
        wanted = [names[position] for position in columns.positions.values()]
        chosen = Columns({field: n for n, field in enumerate(columns.positions)})
        row = 0
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(_BATCH_SIZE, row_groups=[group], columns=wanted):
                for cells in zip(*(batch.column(n).to_pylist() for n in wanted), strict=True):
                    row += 1
                    yield chosen.paper(cells, source, row)
    except TaggerError:
        raise
    except Exception as error:  # a broken file makes it raise nearly anything
        raise TaggerError(
            f"is no Parquet file that can be read ({' '.join(str(error).split())})",
            path=source.path,
        ) from error
    if not row:
        raise TaggerError("no papers in this file, it has no rows", path=source.path)
