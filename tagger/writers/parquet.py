"""Parquet, for data frames and databases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from tagger.tagged_paper import TaggedPaper
from tagger.taxonomy import Taxonomy
from tagger.writers.arrow import arrow_schema, arrow_tables


def write_parquet(papers: Iterable[TaggedPaper], taxonomy: Taxonomy, file: BinaryIO) -> None:
    """Write papers as Parquet, a row group at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, arrow_schema(taxonomy)) as writer:
        for table in arrow_tables(papers, taxonomy):
            writer.write_table(table)
