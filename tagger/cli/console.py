"""The console that tables and colours are printed with."""

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
    """A console of rich that takes text for text: no markup, no emoji names, no control sequences.

    What rich itself sends to move the cursor or to colour passes.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render(
        self,
        renderable: rich.console.RenderableType,
        options: rich.console.ConsoleOptions | None = None,
    ) -> Iterable[Segment]:
        """Give the pieces of what is printed, safe to be written."""
        for segment in super().render(renderable, options):
            control = segment.control
            yield segment if control else Segment(printable(segment.text), segment.style)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    numbers: Container[str] = (),
    title: str | None = None,
) -> None:
    """Print a table on standard output; the columns in ``numbers`` are set to the right."""
    heads = [Column(name, justify="right" if name in numbers else "left") for name in columns]
    table = Table(*heads, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)
