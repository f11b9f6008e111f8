"""Translate validation errors of pydantic into messages for users."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import ValidationError

_PROBLEMS = {
    "missing": "this field is missing",
    "dict_type": "expected fields with values",
    "model_type": "expected fields with values",
    "tuple_type": "expected a list",
    "extra_forbidden": "unknown field",
}


class InvalidValue(NamedTuple):
    """The first problem of a failed validation.

    ``kind`` is pydantic's error type, ``value`` the invalid input.
    """

    kind: str
    location: tuple[str | int, ...]
    problem: str
    hint: str | None
    value: Any

    @property
    def field(self) -> str | None:
        """The location as written by :func:`field_name`."""
        return field_name(self.location)


def first_problem(error: ValidationError) -> InvalidValue:
    """Return the first problem of a failed validation."""
    detail = error.errors(include_url=False, include_context=False)[0]
    kind, message = detail["type"], detail["msg"].removeprefix("Value error, ")
    problem = message if kind == "value_error" else message[0].lower() + message[1:]
    hint = "Remove it or correct its spelling" if kind == "extra_forbidden" else None
    return InvalidValue(
        kind, detail["loc"], _PROBLEMS.get(kind, problem), hint, detail.get("input")
    )


def field_name(location: Iterable[str | int]) -> str | None:
    """Write a location in nested data as ``facets[0].tags[2].name``; None for the root."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or None
