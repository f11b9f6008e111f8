"""Tagged papers as rows of plain cells: a column of tags and one of confidence a facet."""

from __future__ import annotations

from typing import Any

from tagger.taxonomy import Taxonomy

SEPARATOR = "; "
"""Stands between several values in one cell."""


def table_header(taxonomy: Taxonomy) -> list[str]:
    """Return the names of the columns."""
    facets = [facet.name for facet in taxonomy.facets]
    columns = [column for name in facets for column in (name, f"{name}_confidence")]
    return ["id", "title", "identifiers", "sources", *columns, "review", "model", "taxonomy"]


def table_cells(row: dict[str, Any], taxonomy: Taxonomy) -> list[str]:
    """Return a row of ``tags.jsonl`` as one cell a column."""
    texts = [SEPARATOR.join(row[name]) for name in ("identifiers", "sources")]
    cells = [row["id"], row["title"], *texts]
    for facet in taxonomy.facets:
        tags = row["tags"][facet.name]
        chances = row["confidence"][facet.name]
        cells.append(SEPARATOR.join(tags))
        cells.append(SEPARATOR.join(f"{chances[tag]:.4f}" for tag in tags))
    return [*cells, row["review"]["reason"] if row["review"] else "", row["model"], row["taxonomy"]]
