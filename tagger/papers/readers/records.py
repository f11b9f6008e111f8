"""Turn records of any format into papers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from email.utils import parsedate_to_datetime
from time import strptime
from typing import NamedTuple

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.cleaning import clean_marked_up_text
from tagger.papers.readers.identifiers import identifiers_of
from tagger.papers.readers.source import Source, not_text

# PubMed's placeholder for a title without English translation.
_NO_TITLE = re.compile(r"\[not available\]\.?", re.IGNORECASE)
# Placeholders of PubMed, Scopus and Web of Science, and of exports for an empty cell.
_NO_ABSTRACT = re.compile(
    r"\W*+(?:(?:there is )?no abstract(?: (?:is |was )?(?:available|provided|supplied|found))?"
    r"|abstract (?:is |was )?(?:not (?:available|provided|supplied|found)|unavailable|missing)"
    r"|not available|n/?a|none|null|nan)?\W*",
    re.IGNORECASE,
)
_PUBMED = re.compile(r"pubmed|medline|nlm", re.IGNORECASE)
_BETWEEN_LINKS = re.compile(r"\s+|;\s*(?=https?:)")
_BAD_BYTE = re.compile("[\udc80-\udcff]")
_DAY = re.compile(r"\s*(\d{4})[-/. ]?(\d\d?+|[a-z]{3})[a-z]*+[-/. ]?(\d\d?+)(?!\d)", re.IGNORECASE)
_NUMBERED = re.compile(r"\s{0,4}(\d{1,5})[.:]\s+(?=\S)")


class Notice(str):
    """One line about a file that was read, for the user; unlike an error, it costs no record."""

    __slots__ = ()


def make_paper(
    source: Source,
    line: int | None,
    titles: list[str],
    abstracts: list[str],
    identifiers: tuple[str, ...] = (),
    *,
    days: Iterable[str] = (),
) -> Paper | TaggerError:
    """Return the paper of a record, or an error if it has no title or is not text.

    The first title and the first abstract that are neither empty nor a placeholder are taken, and
    the first of the ``days`` that :func:`day_of` can read.
    """
    if source.has_escapes and (bad := _BAD_BYTE.search("".join([*titles, *abstracts]))):
        return not_text("utf-8", ord(bad[0]) - 0xDC00, line)
    title = _first(titles, _NO_TITLE)
    if not title:
        return TaggerError(
            "the title of this record is missing", line=line, hint="Add it, or remove the record"
        )
    abstract = _first(abstracts, _NO_ABSTRACT)
    day = next(filter(None, map(day_of, days)), None)
    return Paper(title, abstract, (source.name,), identifiers=identifiers, day=day)


def day_of(text: str) -> date | None:
    """Return the day that a text begins with: 2026-11-03, 20261103, 2026 Nov 3, or as in mails."""
    found = _DAY.match(text)
    try:
        if not found:
            return parsedate_to_datetime(text).date()
        year, month, day = found.groups()
        number = int(month) if month.isdecimal() else strptime(month, "%b").tm_mon
        return date(int(year), number, int(day))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


class Layout(NamedTuple):
    """The fields of a format that have the parts of a paper, the preferred first.

    ``notes`` may mention identifiers. ``accession_numbers`` are PubMed numbers if one of the
    ``databases`` is PubMed.
    """

    titles: tuple[str, ...]
    abstracts: tuple[str, ...]
    dois: tuple[str, ...] = ()
    pmids: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    accession_numbers: tuple[str, ...] = ()
    days: tuple[str, ...] = ()

    def paper(
        self, source: Source, line: int, values_of: Callable[[Iterable[str]], list[str]]
    ) -> Paper | TaggerError:
        """Return the paper of a record, as :func:`make_paper` does.

        ``values_of`` returns the values of some fields. The distinct values of a field with an
        abstract are its parts.
        """
        from_pubmed = _PUBMED.search(" ".join(values_of(self.databases)))
        accession_numbers = values_of(self.accession_numbers) if from_pubmed else []
        identifiers = identifiers_of(
            dois=values_of(self.dois),
            pmids=[*values_of(self.pmids), *accession_numbers],
            links=_BETWEEN_LINKS.split(" ".join(values_of(self.links))),
            notes="\n".join(values_of(self.notes)),
        )
        abstracts = [" ".join(dict.fromkeys(values_of([name]))) for name in self.abstracts]
        titles, days = values_of(self.titles), values_of(self.days)
        return make_paper(source, line, titles, abstracts, identifiers, days=days)


def shortened(title: str) -> str:
    """Return a title of at most 60 characters, cut if it is longer."""
    return title if len(title) <= 60 else f"{title[:59]}\u2026"


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

    def values_of(self, tags: Iterable[str]) -> list[str]:
        return [value for tag in tags for value in self.get(tag, ())]


def numbered_entries(text: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the number of each entry of a numbered list, the number of its first line, its lines.

    An entry begins with the number after that of the last one, or with 1.
    """
    lines = text.splitlines()
    starts = list[tuple[int, int]]()
    for index, line in enumerate(lines):
        found = _NUMBERED.match(line)
        if found and (not starts or int(found[1]) in (1, starts[-1][0] + 1)):
            starts.append((int(found[1]), index))
    ends = [*(index for _, index in starts), len(lines)][1:]
    for (number, start), end in zip(starts, ends, strict=True):
        yield number, start + 1, [_NUMBERED.sub("", lines[start], count=1), *lines[start + 1 : end]]


def paragraphs_of(lines: Iterable[str]) -> list[str]:
    """Return the paragraphs of some lines: the texts between blank lines, on one line each."""
    blocks = re.split(r"\n(?:\s*\n)+", "\n".join(lines))
    return [text for block in blocks if (text := " ".join(block.split()))]
