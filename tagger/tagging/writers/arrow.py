"""Convert tagged papers to Arrow tables and Parquet: the fields of ``tags.jsonl``, with types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from tagger.papers import COLUMNS, TaggedPaper
from tagger.taxonomy import Taxonomy

if TYPE_CHECKING:
    import pyarrow as pa


ROWS_AT_ONCE = 4096
"""Rows of a table; in Parquet, of a row group."""


def arrow_tables(papers: Iterable[TaggedPaper], taxonomy: Taxonomy) -> Iterator[pa.Table]:
    """Yield papers as tables of :func:`arrow_schema` with at most :data:`ROWS_AT_ONCE` rows."""
    import pyarrow as pa

    schema = arrow_schema(taxonomy)
    remaining = iter(papers)
    while batch := list(islice(remaining, ROWS_AT_ONCE)):
        yield pa.Table.from_pylist([paper.as_row() for paper in batch], schema=schema)


def arrow_schema(taxonomy: Taxonomy) -> pa.Schema:
    """Return the schema of a table with the fields of ``tags.jsonl``.

    ``tags`` is a struct with a list of strings per facet. ``confidence`` is a struct per facet with
    a number per tag. ``review`` is null if no review is needed.
    """
    import pyarrow as pa

    strings = pa.list_(pa.string())
    confidence = [
        (facet.name, pa.struct([(tag, pa.float64()) for tag in facet.tag_names]))
        for facet in taxonomy.facets
    ]
    types = {
        "identifiers": strings,
        "sources": strings,
        "tags": pa.struct([(facet.name, strings) for facet in taxonomy.facets]),
        "confidence": pa.struct(confidence),
        "review": pa.struct([("facets", strings), ("reason", pa.string())]),
    }
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])


def write_parquet(
    papers: Iterable[TaggedPaper],
    taxonomy: Taxonomy,
    file: BinaryIO,
    metadata: Mapping[bytes, str] | None = None,
) -> None:
    """Write papers as Parquet, one row group at a time, with optional key-value metadata."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, arrow_schema(taxonomy)) as writer:
        for table in arrow_tables(papers, taxonomy):
            writer.write_table(table)
        if metadata:
            writer.add_key_value_metadata(dict(metadata))
