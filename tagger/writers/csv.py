"""CSV for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TextIO

from tagger.tagged_paper import TaggedPaper
from tagger.taxonomy import Taxonomy
from tagger.text_safety import is_formula
from tagger.writers.table import table_cells, table_header


def write_csv(papers: Iterable[TaggedPaper], taxonomy: Taxonomy, file: TextIO) -> None:
    """Write papers as CSV.

    A cell that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    writer = csv.writer(file)
    writer.writerow(table_header(taxonomy))
    for paper in papers:
        cells = table_cells(paper, taxonomy)
        writer.writerow(["'" + cell if is_formula(cell) else cell for cell in cells])
