"""Tagged papers as an Arrow table: the fields of ``tags.jsonl``, with types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tagger.taxonomy import Taxonomy

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_table(rows: Sequence[dict[str, Any]], taxonomy: Taxonomy) -> pa.Table:
    """Return rows of ``tags.jsonl`` as a table that holds all that they hold.

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
    schema = pa.schema(
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
    return pa.Table.from_pylist(list(rows), schema=schema)
