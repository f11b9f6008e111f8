"""Files of one JSON object a line, read with errors that name file, line and field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from tagger.errors import TaggerError
from tagger.validation import first_problem

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
Record = TypeVar("Record")


def read_lines(path: Path, record: type[Record]) -> Iterator[tuple[int, Record]]:
    """Read a file of JSON Lines; empty lines are passed over.

    Parameters
    ----------
    path:
        The file.
    record:
        What each line holds.

    Yields
    ------
    tuple
        The number of the line, from 1, and its content.

    Raises
    ------
    TaggerError
        If the file cannot be read; with line and field, if a line is not such a record.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TaggerError("is not UTF-8 text", path=path) from error
    except OSError as error:
        raise TaggerError(f"cannot be read ({error.strerror or error})", path=path) from error
    adapter = TypeAdapter(record)
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if _SURROGATE.search(line):
                # Half a pair is no text: nothing could be written, logged or encoded with it.
                json.dumps(value, ensure_ascii=False).encode()
            content = adapter.validate_python(value)
        except json.JSONDecodeError as error:
            raise TaggerError(
                f"is not JSON: {error.msg} at column {error.colno}", path=path, line=number
            ) from error
        except RecursionError as error:
            raise TaggerError("is nested too deeply", path=path, line=number) from error
        except ValidationError as error:
            invalid = first_problem(error)
            raise TaggerError(
                invalid.problem, path=path, line=number, field=invalid.field, hint=invalid.hint
            ) from error
        except UnicodeEncodeError as error:
            raise TaggerError(
                "holds half a surrogate pair, which is no text", path=path, line=number
            ) from error
        except ValueError as error:  # a number of thousands of digits
            raise TaggerError(f"is not JSON: {error}", path=path, line=number) from error
        yield number, content
