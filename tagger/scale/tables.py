"""Tables of any format that can be cut into shards: what is in a file, and the rows of a shard.

A file is looked through once, when the run is planned, which finds its columns, as the readers of
:mod:`tagger.readers` do, and where shards begin; of Parquet the footer tells. What breaks a table
(its bytes are no text, a quote is not closed) is found then. What is wrong with one row is found
when that row is read, and concerns it alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tagger.errors import TaggerError, shown
from tagger.paper import Paper
from tagger.readers import recognise
from tagger.readers.columns import Columns
from tagger.readers.source import Source
from tagger.scale.dead_letters import DeadLetter
from tagger.scale.delimited_rows import delimited_rows, scan_delimited
from tagger.scale.json_lines_rows import json_lines_rows, scan_json_lines
from tagger.scale.parquet_rows import parquet_rows, scan_parquet
from tagger.scale.shards import ROWS_PER_SHARD, Row, Shard, Table
from tagger.scale.storage import StoredFile, reading

_HEAD = 2**16
_SCANS = {"parquet": scan_parquet, "json": scan_json_lines, "csv": scan_delimited}
FORMATS = tuple(_SCANS)
"""As given to ``--format``."""


def scan_table(
    file: StoredFile,
    columns: Mapping[str, str] | None = None,
    format_name: str | None = None,
    rows_per_shard: int = ROWS_PER_SHARD,
) -> Table:
    """Find out what is in a file, and where its shards begin.

    Parameters
    ----------
    file:
        The file.
    columns:
        Which column holds which field of a paper, where the usual names do not tell.
    format_name:
        One of :data:`FORMATS`; without it, the content tells.
    rows_per_shard:
        Rows of each shard but the last.

    Raises
    ------
    TaggerError
        If it is no table, is broken, or no column holds the title.
    """
    with reading(file.place) as raw:
        head = raw.read(_HEAD)
    if not head:
        raise TaggerError("the file is empty", path=file.place)
    if len(head) == _HEAD:
        # Whole lines, if there are any.
        head = head[: head.rfind(b"\n") + 1] or head
    name = shown(file.place.split("::")[0].rstrip("/").rpartition("/")[2])
    source = Source(name, Path(file.place), columns or {}, head)
    scan = _SCANS.get(format_name or recognise(source))
    if scan:
        table = scan(file, source, columns or {}, rows_per_shard)
        if not table.cuts:
            raise TaggerError("no papers in this file, it has no rows", path=file.place)
        return table
    raise TaggerError(
        "is no table that can be cut into shards",
        path=file.place,
        hint="The engine ray reads Parquet, JSON Lines and CSV; leave --engine out for the others",
    )


def read_shard(shard: Shard) -> Iterator[tuple[int, Paper | DeadLetter]]:
    """Yield the line of each row of a shard, and what it is: a paper, or why it is none.

    Raises
    ------
    TaggerError
        If the file cannot be read.
    """
    table = shard.table
    source = Source(table.name, Path(table.place), table.columns)
    columns = Columns.find(list(table.names), source)
    for row in _rows(shard, columns):
        yield row.line, _paper(row, columns, source, table.place)


def _rows(shard: Shard, columns: Columns) -> Iterator[Row]:
    if shard.table.format == "parquet":
        return parquet_rows(shard, [shard.table.names[at] for at in columns.positions.values()])
    if shard.table.format == "json":
        return json_lines_rows(shard)
    return delimited_rows(shard)


def _paper(row: Row, columns: Columns, source: Source, place: str) -> Paper | DeadLetter:
    if row.cells is None:
        return DeadLetter(place, row.line, row.problem, row.given)
    try:
        paper = columns.paper(row.cells, source, row.line)
    except Exception as error:  # whatever a row makes a library raise, the others go on
        reason = f"cannot be read ({type(error).__name__}: {error})"
        return DeadLetter(place, row.line, reason, row.given)
    if isinstance(paper, TaggerError):
        reason = str(TaggerError(paper.problem, field=paper.field))
        return DeadLetter(place, row.line, reason, row.given)
    return paper
