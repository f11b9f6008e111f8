"""How a record of any format becomes a paper."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.cleaning import clean_marked_up_text
from tagger.papers.readers.source import Source

# PubMed's stand-in for a title that is not known in English.
_NO_TITLE = re.compile(r"\[not available\]\.?", re.IGNORECASE)
# Stand-ins of PubMed, Scopus, Web of Science, and of exports for an empty cell.
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
    """Return the paper of a record, or the error that says why it is none.

    Of titles and abstracts, the first that says something is taken.
    """
    title = _first(titles, _NO_TITLE)
    if not title:
        return TaggerError(
            "there is no title here",
            line=line,
            hint="Every paper needs one: fill it in, or take the record out",
        )
    abstract = _first(abstracts, _NO_ABSTRACT)
    return Paper(title, abstract, (source.name,), identifiers=identifiers)


def _first(texts: list[str], stand_in: re.Pattern[str]) -> str:
    cleaned = map(clean_marked_up_text, texts)
    return next((text for text in cleaned if text and not stand_in.fullmatch(text)), "")


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
