"""Parquet, for data frames and databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from tagger.taxonomy import Taxonomy
from tagger.writers.arrow import arrow_table


def write_parquet(rows: Sequence[dict[str, Any]], taxonomy: Taxonomy, file: BinaryIO) -> None:
    """Write rows of ``tags.jsonl`` as Parquet."""
    import pyarrow.parquet as pq

    pq.write_table(arrow_table(rows, taxonomy), file)
