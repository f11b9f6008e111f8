"""Records of lines that begin with the tag of their field, as RIS and MEDLINE have them."""

from __future__ import annotations

import re
from collections.abc import Iterable


class TaggedFields(dict[str, list[str]]):
    """The values of each tag of a record, in order; lines of one value are joined by blanks."""

    @classmethod
    def of(cls, lines: Iterable[str], field: re.Pattern[str]) -> TaggedFields:
        """Read the lines of a record; ``field`` matches a line's beginning, group 1 is the tag."""
        values: dict[str, list[list[str]]] = {}
        parts: list[str] = []
        for line in lines:
            found = field.match(line)
            if found:
                parts = []
                values.setdefault(found[1], []).append(parts)
            parts.append(line[found.end() if found else 0 :].strip())
        return cls(
            {tag: [" ".join(filter(None, each)) for each in many] for tag, many in values.items()}
        )

    def values_of(self, *tags: str) -> list[str]:
        """Return the values of some tags, those of the first tag first."""
        return [value for tag in tags for value in self.get(tag, ())]
