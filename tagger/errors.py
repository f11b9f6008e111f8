"""Exceptions whose message is written for the user."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


class TaggerError(Exception):
    """An error that a user can correct, described in one line.

    Parameters
    ----------
    problem:
        Description of the error, without a final full stop.
    path, line, field:
        Location of the error: the file, the line counted from 1, and the field of that line.
    hint:
        How to correct it.
    """

    def __init__(
        self,
        problem: str,
        *,
        path: str | os.PathLike[str] | None = None,
        line: int | None = None,
        field: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = None if path is None else shown(path)
        self.line = line
        self.field = field
        self.hint = hint

    def at(self, path: str | os.PathLike[str]) -> TaggerError:
        """Return the same error, located in the file ``path``."""
        return TaggerError(
            self.problem, path=path, line=self.line, field=self.field, hint=self.hint
        )

    def __str__(self) -> str:
        place = self.path or ""
        if self.line is not None:
            place += f":{self.line}" if place else f"line {self.line}"
        parts = [place] if place else []
        if self.field:
            parts.append(f"field '{self.field}'")
        parts.append(self.problem)
        text = ": ".join(parts)
        return f"{text}. {self.hint}" if self.hint else text


class ArgumentError(TaggerError, ValueError):
    """An invalid argument; both a :class:`TaggerError` and a ``ValueError``."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A record that could not be read or tagged.

    Parameters
    ----------
    file, line:
        Location of the record. ``line`` counts from 1; in tables without lines it is the row.
        None if unknown.
    reason:
        Why the record could not be read or tagged.
    """

    file: str | None
    line: int | None
    reason: str

    @classmethod
    def of(cls, error: TaggerError, file: str | None = None) -> Problem:
        """Convert an error to a problem; ``file`` replaces the path of the error."""
        return cls(
            file or error.path, error.line, str(TaggerError(error.problem, field=error.field))
        )


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path as printable text; bytes that are not valid UTF-8 become U+FFFD."""
    # Python stores such bytes as lone surrogates, which UTF-16 with "surrogatepass" can encode.
    return os.fspath(path).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_password(text: str) -> str:
    """Remove user names and passwords from the URLs in a text."""
    return _USER_AND_PASSWORD.sub("", text)


def missing_package(error: ModuleNotFoundError, extra: str) -> TaggerError:
    """Return an error that names the missing package and the extra that installs it."""
    return TaggerError(
        f"the package '{error.name}' is not installed",
        hint=f"Install it: pip install 'tagger[{extra}]'",
    )


def first_line(error: Exception) -> str:
    """Return the first line of another library's message, at most 200 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
