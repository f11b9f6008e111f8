"""CSV for spreadsheets: a row a paper, a column of tags and one of confidence a facet."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any, TextIO

from tagger.taxonomy import Taxonomy

SEPARATOR = "; "
"""Stands between several values in one cell."""


def write_csv(rows: Iterable[dict[str, Any]], taxonomy: Taxonomy, file: TextIO) -> None:
    """Write rows of ``tags.jsonl`` as CSV.

    A cell that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV
    Injection").
    """
    facets = [facet.name for facet in taxonomy.facets]
    columns = [column for name in facets for column in (name, f"{name}_confidence")]
    writer = csv.writer(file)
    writer.writerow(["id", "title", "sources", *columns, "review", "model", "taxonomy"])
    for row in rows:
        cells = [row["id"], row["title"], SEPARATOR.join(row["sources"])]
        for name in facets:
            tags = row["tags"][name]
            cells.append(SEPARATOR.join(tags))
            cells.append(SEPARATOR.join(f"{row['confidence'][name][tag]:.4f}" for tag in tags))
        cells.append(row["review"]["reason"] if row["review"] else "")
        writer.writerow([_defused(cell) for cell in [*cells, row["model"], row["taxonomy"]]])


def _defused(cell: str) -> str:
    return "'" + cell if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
