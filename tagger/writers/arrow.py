"""Tagged papers as an Arrow table: the fields of ``tags.jsonl``, with types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from tagger.taxonomy import Taxonomy

if TYPE_CHECKING:
    import pyarrow as pa


ROWS_AT_ONCE = 4096
"""Rows of a table that are in memory; in Parquet, those of a row group."""


def arrow_tables(rows: Iterable[dict[str, Any]], taxonomy: Taxonomy) -> Iterator[pa.Table]:
    """Yield rows of ``tags.jsonl`` as tables of :func:`arrow_schema`, some rows at a time."""
    import pyarrow as pa

    schema = arrow_schema(taxonomy)
    remaining = iter(rows)
    while some := list(islice(remaining, ROWS_AT_ONCE)):
        yield pa.Table.from_pylist(some, schema=schema)


def arrow_schema(taxonomy: Taxonomy) -> pa.Schema:
    """Return the schema of a table that holds all that rows of ``tags.jsonl`` hold.

    ``tags`` is a struct with a list of texts a facet, ``confidence`` a struct of structs with a
    number a tag; ``review`` is null where no person need look.
    """
    import pyarrow as pa

    texts = pa.list_(pa.string())
    tags = pa.struct([(facet.name, texts) for facet in taxonomy.facets])
    confidence = pa.struct(
        [
            (facet.name, pa.struct([(tag, pa.float64()) for tag in facet.tag_names]))
            for facet in taxonomy.facets
        ]
    )
    return pa.schema(
        [
            ("id", pa.string()),
            ("title", pa.string()),
            ("identifiers", texts),
            ("sources", texts),
            ("tags", tags),
            ("confidence", confidence),
            ("review", pa.struct([("facets", texts), ("reason", pa.string())])),
            ("model", pa.string()),
            ("taxonomy", pa.string()),
        ]
    )
