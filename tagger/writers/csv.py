"""CSV for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any, TextIO

from tagger.taxonomy import Taxonomy
from tagger.writers.formulas import is_formula
from tagger.writers.table import table_cells, table_header


def write_csv(rows: Iterable[dict[str, Any]], taxonomy: Taxonomy, file: TextIO) -> None:
    """Write rows of ``tags.jsonl`` as CSV.

    A cell that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    writer = csv.writer(file)
    writer.writerow(table_header(taxonomy))
    for row in rows:
        cells = table_cells(row, taxonomy)
        writer.writerow(["'" + cell if is_formula(cell) else cell for cell in cells])
