"""JSON Lines: one tagged paper a line, the form that other programs read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TextIO


def write_jsonl(rows: Iterable[dict[str, Any]], file: TextIO) -> None:
    """Write one JSON object a line, in UTF-8 and with keys in the order given."""
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
