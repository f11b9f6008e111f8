"""Translate validation errors of pydantic into messages for users."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from tagger.errors import TaggerError

VALUE_ERROR = "Value error, "
"""What pydantic puts before the message of a ValueError."""
_PROBLEMS = {
    "missing": "this field is missing",
    "dict_type": "expected fields with values",
    "model_type": "expected fields with values",
    "tuple_type": "expected a list",
    "extra_forbidden": "unknown field",
}


class InvalidValue(NamedTuple):
    """The first problem of a failed validation; ``value`` is the invalid input."""

    location: tuple[str | int, ...]
    problem: str
    hint: str | None
    value: Any

    @property
    def field(self) -> str | None:
        """The location as written by :func:`field_name`."""
        return field_name(self.location)

    def as_error(self, path: Path, line: int) -> TaggerError:
        """Return the problem as an error in a file."""
        return TaggerError(self.problem, path=path, line=line, field=self.field, hint=self.hint)


def first_problem(error: ValidationError) -> InvalidValue:
    """Return the first problem of a failed validation."""
    detail = error.errors(include_url=False, include_context=False)[0]
    kind, message = detail["type"], detail["msg"].removeprefix(VALUE_ERROR)
    problem = message if kind == "value_error" else message[0].lower() + message[1:]
    hint = "Remove it or correct its spelling" if kind == "extra_forbidden" else None
    return InvalidValue(detail["loc"], _PROBLEMS.get(kind, problem), hint, detail.get("input"))


def field_name(location: Iterable[str | int]) -> str | None:
    """Write a location in nested data as ``facets[0].tags[2].name``; None for the root."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or None
