"""Tables in shards: stretches of rows that are tagged one by one, the same ones every time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

ROWS_PER_SHARD = 8192
"""A shard takes a core about two minutes, and a run that is cut short loses at most so much."""


class Row(NamedTuple):
    """One row of a table.

    Parameters
    ----------
    line:
        The line that it begins at, or in Parquet its number, counted from 1.
    cells:
        One for each column of the table; None if the row cannot be told apart into them.
    problem:
        Why it cannot.
    given:
        The row as it stands, for the dead letters.
    """

    line: int
    cells: list[Any] | None
    problem: str
    given: Any


class Cut(BaseModel):
    """Where a shard begins in a file.

    Parameters
    ----------
    start:
        In text the byte, in Parquet the row, counted from 0.
    line:
        The line at that byte, counted from 1.
    rows:
        Rows of the shard.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: int
    line: int
    rows: int


class Table(BaseModel):
    """A file with papers in its rows.

    Parameters
    ----------
    place:
        Path or URL.
    name:
        Kept on each paper as its source.
    size, changed:
        As :class:`tagger.scale.storage.StoredFile` has them.
    format:
        What it is.
    digest:
        SHA-256 of the content; of Parquet, of the footer, which speaks of all of it.
    names:
        Names of the columns.
    columns:
        Which column holds which field of a paper, as the caller chose.
    delimiter, quotes:
        Of delimited text: what stands between cells, and whether quotes may stand around them.
    cuts:
        Where its shards begin.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    place: str
    name: str
    size: int
    changed: int | None
    format: Literal["parquet", "json", "csv"]
    digest: str
    names: tuple[str, ...]
    columns: Mapping[str, str] = {}
    delimiter: str = ","
    quotes: bool = True
    cuts: tuple[Cut, ...]

    @property
    def rows(self) -> int:
        """Number of its rows."""
        return sum(cut.rows for cut in self.cuts)


class Shard(BaseModel):
    """Some rows of a table, and all that a worker has to know to read them.

    Parameters
    ----------
    number:
        Place among all shards, counted from 0; results are in this order.
    table:
        The table, without its cuts.
    cut:
        Where it begins, and how many rows it has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    table: Table
    cut: Cut

    @property
    def label(self) -> str:
        """Its number as file names have it."""
        return f"{self.number:06d}"


def shards_of(tables: tuple[Table, ...]) -> Iterator[Shard]:
    """Yield the shards of tables, in order."""
    number = 0
    for table in tables:
        bare = table.model_copy(update={"cuts": ()})
        for cut in table.cuts:
            yield Shard(number=number, table=bare, cut=cut)
            number += 1
