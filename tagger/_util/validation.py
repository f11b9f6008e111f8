"""What pydantic found wrong, in words for a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import ValidationError

_PROBLEMS = {
    "missing": "this field is missing",
    "dict_type": "fields with values are needed here",
    "model_type": "fields with values are needed here",
    "tuple_type": "a list is needed here",
    "extra_forbidden": "unknown field",
}


class InvalidValue(NamedTuple):
    """The first problem of a validation: its kind for pydantic, its place, words, and the input."""

    kind: str
    location: tuple[str | int, ...]
    problem: str
    hint: str | None
    given: Any

    @property
    def field(self) -> str | None:
        """The place as :func:`field_name` writes it."""
        return field_name(self.location)


def first_problem(error: ValidationError) -> InvalidValue:
    """Return the first problem of a validation."""
    detail = error.errors(include_url=False, include_context=False)[0]
    kind, message = detail["type"], detail["msg"].removeprefix("Value error, ")
    problem = message if kind == "value_error" else message[0].lower() + message[1:]
    hint = "Take it out or correct its spelling" if kind == "extra_forbidden" else None
    return InvalidValue(
        kind, detail["loc"], _PROBLEMS.get(kind, problem), hint, detail.get("input")
    )


def field_name(location: Iterable[str | int]) -> str | None:
    """Write a place in nested data as ``facets[0].tags[2].name``; None for the data as a whole."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or None
