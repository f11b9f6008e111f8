"""Turn records of any format into papers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.cleaning import clean_marked_up_text
from tagger.papers.readers.source import Source

# PubMed's placeholder for a title without English translation.
_NO_TITLE = re.compile(r"\[not available\]\.?", re.IGNORECASE)
# Placeholders of PubMed, Scopus and Web of Science, and of exports for an empty cell.
_NO_ABSTRACT = re.compile(
    r"\W*+(?:(?:there is )?no abstract(?: (?:is |was )?(?:available|provided|supplied|found))?"
    r"|abstract (?:is |was )?(?:not (?:available|provided|supplied|found)|unavailable|missing)"
    r"|not available|n/?a|none|null|nan)?\W*",
    re.IGNORECASE,
)


def make_paper(
    source: Source,
    line: int | None,
    titles: list[str],
    abstracts: list[str],
    identifiers: tuple[str, ...] = (),
) -> Paper | TaggerError:
    """Return the paper of a record, or an error if it has no title.

    The first title and the first abstract that are neither empty nor a placeholder are taken.
    """
    title = _first(titles, _NO_TITLE)
    if not title:
        return TaggerError(
            "the title of this record is missing", line=line, hint="Add it, or remove the record"
        )
    abstract = _first(abstracts, _NO_ABSTRACT)
    return Paper(title, abstract, (source.name,), identifiers=identifiers)


def _first(texts: list[str], placeholder: re.Pattern[str]) -> str:
    cleaned = map(clean_marked_up_text, texts)
    return next((text for text in cleaned if text and not placeholder.fullmatch(text)), "")


class TaggedFields(dict[str, list[str]]):
    """The values of each field tag of a record, in order; lines of one value are joined."""

    @classmethod
    def of(cls, lines: Iterable[str], field: re.Pattern[str]) -> TaggedFields:
        """Parse the lines of a record.

        ``field`` matches the beginning of a line that starts a value; its group 1 is the tag.
        """
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
        """Return the values of several tags, in the order of the arguments."""
        return [value for tag in tags for value in self.get(tag, ())]
