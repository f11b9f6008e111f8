"""Read JSON Lines files; errors name file, line and field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from tagger._util.validation import first_problem
from tagger.errors import TaggerError

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
Record = TypeVar("Record")


def read_lines(path: Path, record: type[Record]) -> Iterator[tuple[int, Record]]:
    """Yield the records of a JSON Lines file with their line numbers; empty lines are skipped.

    Raises a TaggerError if the file cannot be read, or a line is not a valid ``record``.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TaggerError("is not UTF-8 text", path=path) from error
    except OSError as error:
        raise TaggerError(f"cannot be read ({error.strerror or error})", path=path) from error
    adapter = TypeAdapter(record)
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, _parse(line, adapter)
            except ValidationError as error:
                raise first_problem(error).as_error(path, number) from error
            except (ValueError, RecursionError) as error:
                raise TaggerError(_reason(error), path=path, line=number) from error


def _parse(line: str, adapter: TypeAdapter[Record]) -> Record:
    value = json.loads(line)
    if _SURROGATE.search(line):
        # A lone surrogate cannot be written, logged or encoded: raise UnicodeEncodeError here.
        json.dumps(value, ensure_ascii=False).encode()
    return adapter.validate_python(value)


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"is not valid JSON: {error.msg} at column {error.colno}"
    if isinstance(error, UnicodeEncodeError):
        return "contains an invalid Unicode escape (lone surrogate)"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    return f"is not valid JSON: {error}"  # a number with thousands of digits, say
