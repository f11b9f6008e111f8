"""Convert tagged papers to table rows, and write them as CSV.

The columns are the fields of :class:`tagger.papers.TaggedPaper`; a new column is a new field there.
Each facet has a column of tags and a column of their confidences, see :func:`facet_columns`.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from tagger._util.text_safety import is_formula
from tagger.papers import COLUMNS, TaggedPaper
from tagger.taxonomy import Taxonomy

SEPARATOR = "; "
"""Separates the values of a cell."""


def write_csv(papers: Iterable[TaggedPaper], taxonomy: Taxonomy, file: TextIO) -> None:
    """Write papers as CSV.

    A cell that a spreadsheet would read as a formula gets an apostrophe in front.
    """
    writer = csv.writer(file)
    writer.writerow(table_header(taxonomy))
    for paper in papers:
        cells = table_cells(paper, taxonomy)
        writer.writerow(["'" + cell if is_formula(cell) else cell for cell in cells])


def facet_columns(
    facets: Sequence[str], others: Iterable[str] = tuple(COLUMNS)
) -> dict[str, tuple[str, str]]:
    """Return the names of the columns of each facet: of its tags and of their confidences.

    They are ``FACET`` and ``FACET_confidence``, or ``facet:FACET`` and ``confidence:FACET`` if
    another column, one of a facet or of ``others``, has one of these names.
    """
    taken = Counter([*others, *facets, *(f"{name}_confidence" for name in facets)])
    columns = {}
    for name in facets:
        own = name, f"{name}_confidence"
        is_unique = all(taken[column] == 1 for column in own)
        columns[name] = own if is_unique else (f"facet:{name}", f"confidence:{name}")
    return columns


def table_header(taxonomy: Taxonomy) -> list[str]:
    """Return the names of the columns: those of ``tags.jsonl``, with two columns per facet."""
    names = {name: [name] for name in COLUMNS} | {"confidence": []}
    facets = [facet.name for facet in taxonomy.facets]
    names["tags"] = [column for pair in facet_columns(facets).values() for column in pair]
    return [column for group in names.values() for column in group]


def table_cells(paper: TaggedPaper, taxonomy: Taxonomy) -> list[str]:
    """Return the cells of a tagged paper, one per column of :func:`table_header`."""
    cells: dict[str, list[str]] = {
        name: [SEPARATOR.join(value) if isinstance(value, list) else str(value or "")]
        for name, value in paper.as_row().items()
    }
    cells["tags"], cells["confidence"] = list(_facet_cells(paper, taxonomy)), []
    cells["review"] = [paper.review.reason if paper.review else ""]
    return [cell for group in cells.values() for cell in group]


def _facet_cells(paper: TaggedPaper, taxonomy: Taxonomy) -> Iterator[str]:
    for facet in taxonomy.facets:
        tags = paper.tags[facet.name]
        probabilities = paper.confidence[facet.name]
        yield SEPARATOR.join(tags)
        yield SEPARATOR.join(f"{probabilities[tag]:.4f}" for tag in tags)
