"""Print tables and colours."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

import rich.console
from rich import box
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from tagger._util.text_safety import printable


class Console(rich.console.Console):
    """A console of rich that prints text unchanged: no markup, no emoji, no control sequences.

    The control sequences of rich itself, for colours and the cursor, are sent.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render(
        self,
        renderable: rich.console.RenderableType,
        options: rich.console.ConsoleOptions | None = None,
    ) -> Iterable[Segment]:
        """Yield the segments to print, with control sequences made visible."""
        for segment in super().render(renderable, options):
            control = segment.control
            yield segment if control else Segment(printable(segment.text), segment.style)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    numbers: Container[str] = (),
    title: str | None = None,
) -> None:
    """Print a table on standard output, with the columns in ``numbers`` aligned to the right."""
    heads = [Column(name, overflow="fold") for name in columns]
    for column in heads:
        column.justify = "right" if column.header in numbers else "left"
    table = Table(*heads, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)
