"""Reader for digest pages: a newsletter header, a date line, then title and abstract in turn.

Blocks are separated by blank lines. The header is whatever stands above the date line; further
date lines between entries are allowed, since pages of several days get pasted together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.cleaning import clean_text
from tagger.readers.source import Source

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.?"
_DATE_LINE = re.compile(
    rf"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+)?"
    rf"(?:{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+\d{{4}})?"
    rf"|\d{{1,2}}\s+{_MONTH}(?:,?\s+\d{{4}})?"
    rf"|\d{{4}}-\d{{2}}-\d{{2}})",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?=\s|$)")
LONGEST_TITLE = 300
"""A title has at most this many characters; the longest of the 210 in use has 169."""
SHORTEST_ABSTRACT = 25
"""A text of a single sentence with fewer words than this is a title, not an abstract."""


class _Block(NamedTuple):
    line: int
    text: str


def read_digest(source: Source) -> list[Paper]:
    """Read the papers of one digest page, in order and with repeats.

    Parameters
    ----------
    source:
        The page.

    Raises
    ------
    TaggerError
        If the page holds no paper, a title has no abstract, or an abstract has no title; the
        line is given.
    """
    blocks = list(_blocks(source.text))
    dates = [number for number, block in enumerate(blocks) if _DATE_LINE.fullmatch(block.text)]
    entries = [
        block
        for number, block in enumerate(blocks)
        if number not in dates and (not dates or number > dates[0])
    ]
    if not entries:
        what = "only a newsletter header" if blocks else "nothing but white space"
        raise TaggerError(
            f"no papers on this page, {what}",
            path=source.path,
            line=blocks[-1].line if blocks else 1,
        )
    papers = []
    for title, abstract in zip(entries[::2], [*entries[1::2], None], strict=False):
        if len(title.text) > LONGEST_TITLE:
            raise TaggerError(
                f"expected a title, found a paragraph of {len(title.text)} characters",
                path=source.path,
                line=title.line,
                hint="Each entry is a title, a blank line, and its abstract as one paragraph",
            )
        if abstract is None or not _is_abstract(abstract.text):
            raise TaggerError(
                f"the title '{_shortened(title.text)}' has no abstract",
                path=source.path,
                line=title.line,
                hint="Add its abstract after a blank line, or take the title out",
            )
        papers.append(Paper(clean_text(title.text), clean_text(abstract.text), (source.name,)))
    return papers


def _blocks(text: str) -> Iterator[_Block]:
    lines: list[str] = []
    start = 1
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.strip():
            if not lines:
                start = number
            lines.append(line.strip())
        elif lines:
            yield _Block(start, " ".join(lines))
            lines = []


def _is_abstract(text: str) -> bool:
    return len(text.split()) >= SHORTEST_ABSTRACT or len(_SENTENCE_END.findall(text)) > 1


def _shortened(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"
