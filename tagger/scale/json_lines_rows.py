"""JSON Lines at scale: one object a line, read from any line on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tagger.errors import TaggerError
from tagger.readers.columns import Columns
from tagger.readers.source import Source
from tagger.scale.shards import Cut, Row, Shard, Table
from tagger.scale.storage import StoredFile, reading

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def scan_json_lines(
    file: StoredFile, source: Source, columns: Mapping[str, str], rows_per_shard: int
) -> Table:
    """Find the fields that any line has, and where shards begin.

    Raises
    ------
    TaggerError
        If the file does not begin with an object on one line, or no field holds the title.
    """
    names: dict[str, None] = {}
    cuts: list[Cut] = []
    digest = hashlib.sha256()
    start = rows = first = 0
    position, number = 0, 1
    with reading(file.place) as lines:
        for number, line in enumerate(lines, 1):
            digest.update(line)
            if line.strip() and line != _BYTE_ORDER_MARK:
                value, _ = _parse(line)
                if isinstance(value, dict):
                    names.update(dict.fromkeys(value))
                elif not cuts and not rows:
                    raise TaggerError(
                        "does not begin with an object on one line",
                        path=file.place,
                        line=number,
                        hint="Only JSON Lines can be cut into shards: write one object a line, "
                        "for example with jq -c '.[]'",
                    )
                if rows == 0:
                    start, first = position, number
                rows += 1
                if rows == rows_per_shard:
                    cuts.append(Cut(start=start, line=first, rows=rows))
                    rows = 0
            position += len(line)
    if rows:
        cuts.append(Cut(start=start, line=first, rows=rows))
    Columns.find(list(names), source)
    return Table(
        place=file.place,
        name=source.name,
        size=file.size,
        changed=file.changed,
        format="json",
        digest=digest.hexdigest(),
        names=tuple(names),
        columns=columns,
        cuts=tuple(cuts),
    )


def json_lines_rows(shard: Shard) -> Iterator[Row]:
    """Yield the rows of a shard.

    Raises
    ------
    TaggerError
        If the file cannot be read.
    """
    names, left = shard.table.names, shard.cut.rows
    with reading(shard.table.place, shard.cut.start) as lines:
        for number, line in enumerate(lines, shard.cut.line):
            if not line.strip() or line == _BYTE_ORDER_MARK:
                continue
            value, problem = _parse(line)
            if isinstance(value, dict):
                yield Row(number, [value.get(name) for name in names], "", value)
            else:
                given = line.decode("utf-8", "replace").strip()
                yield Row(number, None, problem or "the line is no object", given)
            left -= 1
            if not left:
                return


def _parse(line: bytes) -> tuple[Any, str]:
    """Return what stands on a line, or None and what is wrong with it."""
    try:
        return json.loads(line.decode("utf-8-sig")), ""
    except UnicodeDecodeError as error:
        return None, f"is not UTF-8 text (byte 0x{line[error.start]:02x})"
    except json.JSONDecodeError as error:
        return None, f"is no JSON ({error.msg})"
    except (ValueError, RecursionError) as error:
        return None, f"is no JSON that can be read ({error})"
