"""Parquet, for data frames and databases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

from tagger.taxonomy import Taxonomy
from tagger.writers.arrow import arrow_schema, arrow_tables


def write_parquet(rows: Iterable[dict[str, Any]], taxonomy: Taxonomy, file: BinaryIO) -> None:
    """Write rows of ``tags.jsonl`` as Parquet, a row group at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, arrow_schema(taxonomy)) as writer:
        for table in arrow_tables(rows, taxonomy):
            writer.write_table(table)
