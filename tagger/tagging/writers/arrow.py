"""Tagged papers as Arrow tables and Parquet: the fields of ``tags.jsonl``, with types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from tagger.papers import COLUMNS, TaggedPaper
from tagger.taxonomy import Taxonomy

if TYPE_CHECKING:
    import pyarrow as pa


ROWS_AT_ONCE = 4096
"""Rows of a table that are in memory; in Parquet, those of a row group."""


def arrow_tables(papers: Iterable[TaggedPaper], taxonomy: Taxonomy) -> Iterator[pa.Table]:
    """Yield papers as tables of :func:`arrow_schema`, some rows at a time."""
    import pyarrow as pa

    schema = arrow_schema(taxonomy)
    remaining = iter(papers)
    while some := list(islice(remaining, ROWS_AT_ONCE)):
        yield pa.Table.from_pylist([paper.as_row() for paper in some], schema=schema)


def arrow_schema(taxonomy: Taxonomy) -> pa.Schema:
    """Return the schema of a table that holds all that ``tags.jsonl`` holds.

    ``tags`` is a struct with a list of texts a facet, ``confidence`` a struct of structs with a
    number a tag; ``review`` is null where no person need look.
    """
    import pyarrow as pa

    texts = pa.list_(pa.string())
    confidence = [
        (facet.name, pa.struct([(tag, pa.float64()) for tag in facet.tag_names]))
        for facet in taxonomy.facets
    ]
    types = {
        "identifiers": texts,
        "sources": texts,
        "tags": pa.struct([(facet.name, texts) for facet in taxonomy.facets]),
        "confidence": pa.struct(confidence),
        "review": pa.struct([("facets", texts), ("reason", pa.string())]),
    }
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])


def write_parquet(papers: Iterable[TaggedPaper], taxonomy: Taxonomy, file: BinaryIO) -> None:
    """Write papers as Parquet, a row group at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, arrow_schema(taxonomy)) as writer:
        for table in arrow_tables(papers, taxonomy):
            writer.write_table(table)
