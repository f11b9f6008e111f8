"""Write tagged papers as an Excel workbook with one sheet, which has the columns of the CSV."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO

from tagger._util.text_safety import is_formula
from tagger.errors import TaggerError
from tagger.papers import TaggedPaper
from tagger.tagging.writers.table import facet_columns, table_cells, table_header
from tagger.taxonomy import Taxonomy

if TYPE_CHECKING:
    from openpyxl.cell import Cell

_SHEET = "tags"
_WIDTHS = {"title": 60, "review": 40}
_DEFAULT_WIDTH = 18
_MOST_ROWS = 1_048_576
_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that XML does not allow."""


def write_excel(papers: Iterable[TaggedPaper], taxonomy: Taxonomy, file: BinaryIO) -> None:
    """Write papers as a workbook.

    Cells are text, never formulas; only the confidence of an exclusive facet is a number. Text that
    looks like a formula is marked as text, so that it remains text when it is edited. A workbook
    contains its creation time, so its bytes differ from run to run. Raises a
    :class:`TaggerError` if there are more papers than a sheet can have rows.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    header = table_header(taxonomy)
    columns = facet_columns([facet.name for facet in taxonomy.facets])
    numbers = {columns[facet.name][1] for facet in taxonomy.facets if facet.exclusive}
    book = Workbook(write_only=True)
    sheet = book.create_sheet(_SHEET)
    sheet.freeze_panes = "C2"
    for number, name in enumerate(header, start=1):
        width = _WIDTHS.get(name, _DEFAULT_WIDTH)
        sheet.column_dimensions[get_column_letter(number)].width = width

    def text_cell(text: str) -> Cell:
        cell = WriteOnlyCell(sheet, _ILLEGAL.sub(" ", text))
        cell.data_type = "s"
        cell.quotePrefix = is_formula(text)
        return cell

    names = [text_cell(name) for name in header]
    for cell in names:
        cell.font = Font(bold=True)
    sheet.append(names)
    for number, paper in enumerate(papers, start=2):
        if number > _MOST_ROWS:
            raise TaggerError(
                f"an Excel sheet has at most {_MOST_ROWS:,} rows, and there are more papers",
                hint="Run the command again without --write excel; tagged papers are kept",
            )
        cells = zip(header, table_cells(paper, taxonomy), strict=True)
        sheet.append([float(cell) if name in numbers else text_cell(cell) for name, cell in cells])
    book.save(file)
