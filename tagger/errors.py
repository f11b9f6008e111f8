"""The one exception that a user is meant to read."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


class TaggerError(Exception):
    """Something a user can put right, said in one line.

    Parameters
    ----------
    problem:
        What is wrong, in words, without a final full stop.
    path, line, field:
        Where it is wrong: a file, a line of it counted from 1, a field of that line.
    hint:
        What to do about it.
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
        """Return the same error, of a file of that name."""
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
    """An argument that does not fit: a :class:`TaggerError` that is a ``ValueError``, too."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that has no tags: where it stands, and why.

    Parameters
    ----------
    file, line:
        The line, or in tables without lines the row, counted from 1; None where it is not known.
    reason:
        Why it could not be read or tagged.
    """

    file: str | None
    line: int | None
    reason: str

    @classmethod
    def of(cls, error: TaggerError, file: str | None = None) -> Problem:
        """Return the problem that an error tells of, of ``file`` if that is given."""
        return cls(
            file or error.path, error.line, str(TaggerError(error.problem, field=error.field))
        )


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path as text that can be written; bytes in it that are no UTF-8 become U+FFFD."""
    # Python keeps such bytes as halves of surrogate pairs, which UTF-16 alone can hold.
    return os.fspath(path).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_password(text: str) -> str:
    """Return text in which no address names a user and password."""
    return _USER_AND_PASSWORD.sub("", text)


def missing_package(error: ModuleNotFoundError, extra: str) -> TaggerError:
    """Say which package is missing, and how to install the extra that brings it."""
    return TaggerError(
        f"this needs the package '{error.name}'", hint=f"pip install 'tagger[{extra}]'"
    )


def first_line(error: Exception) -> str:
    """Return the first line of another library's message, at most 200 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
