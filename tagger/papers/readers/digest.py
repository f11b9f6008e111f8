"""Reader for digest pages: a newsletter header, a date line, then titles and abstracts in turn.

Blocks are separated by blank lines. The header is the text above the first date line. Further date
lines between entries are allowed, because users paste the pages of several days together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.cleaning import clean_text
from tagger.papers.readers.source import Source

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.?"
_DATE_LINE = re.compile(
    rf"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+)?"
    rf"(?:{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+\d{{4}})?"
    rf"|\d{{1,2}}\s+{_MONTH}(?:,?\s+\d{{4}})?"
    rf"|\d{{4}}-\d{{2}}-\d{{2}})",
    re.IGNORECASE,
)
_FOOTER = re.compile(
    r"\bunsubscribe|\bopt out\b|\b(?:in|your) browser\b|\bpreferences\b|\bprivacy\b|\bcopyright\b"
    r"|\u00a9|\ball rights reserved\b|\byou (?:are )?receiv",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?=\s|$)")
MAX_TITLE = 300
"""Characters. The longest of 210 titles measured has 169."""
MIN_ABSTRACT = 25
"""Words. A single sentence with fewer words is a title, not an abstract."""


class Block(NamedTuple):
    """A paragraph and the number of its first line; None if the file has no meaningful lines."""

    line: int | None
    text: str


def recognise(_source: Source) -> bool:
    """Return False: a digest page is any text that no other reader recognises."""
    return False


def read(source: Source) -> list[Paper]:
    """Read the papers of one digest page."""
    return papers_of(list(blocks_of(source.text)), source)


def papers_of(blocks: Sequence[Block], source: Source) -> list[Paper]:
    """Read the papers of a digest page that is already split into blocks.

    Raises
    ------
    TaggerError
        If there is no paper, a title is too long, or the abstract of a title is missing.
    """
    dates = [number for number, block in enumerate(blocks) if is_date(block.text)]
    body = blocks[dates[0] :] if dates else blocks
    entries = [block for block in body if not is_date(block.text)]
    if not entries:
        reason = "it contains only a header" if blocks else "it is blank"
        line = blocks[-1].line if blocks else 1
        raise TaggerError(f"there are no papers on this page: {reason}", line=line)
    papers = []
    for title, abstract in zip(entries[::2], [*entries[1::2], None], strict=False):
        if len(title.text) > MAX_TITLE:
            raise TaggerError(
                f"expected a title, found a paragraph of {len(title.text)} characters",
                line=title.line,
                hint="Write each entry as a title, a blank line, and the abstract in one paragraph",
            )
        if abstract is None or not is_abstract(abstract.text):
            short = title.text if len(title.text) <= 60 else f"{title.text[:59]}\u2026"
            raise TaggerError(
                f"the abstract of '{short}' is missing",
                line=title.line,
                hint="Add the abstract after a blank line, or remove the title",
            )
        papers.append(Paper(clean_text(title.text), clean_text(abstract.text), (source.name,)))
    return papers


def without_footer(blocks: Sequence[Block]) -> Sequence[Block]:
    """Remove the footer below the last abstract, such as a link to unsubscribe.

    If none of the last blocks looks like a footer, they are kept: one may be a title whose abstract
    is missing.
    """
    end = len(blocks)
    while end and not (is_abstract(blocks[end - 1].text) and not _is_footer(blocks[end - 1])):
        end -= 1
    return blocks[:end] if any(map(_is_footer, blocks[end:])) else blocks


def blocks_of(text: str) -> Iterator[Block]:
    """Split a text into blocks at blank lines."""
    lines: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.strip():
            lines.append(line.strip())
        elif lines:
            yield Block(number - len(lines), " ".join(lines))
            lines = []


def is_date(text: str) -> bool:
    """Return whether a block consists of a date."""
    return _DATE_LINE.fullmatch(text) is not None


def is_abstract(text: str) -> bool:
    """Return whether a text is an abstract, not a title: it is long or has several sentences."""
    return len(text.split()) >= MIN_ABSTRACT or len(_SENTENCE_END.findall(text)) > 1


def _is_footer(block: Block) -> bool:
    # A longer paragraph is an abstract, which may mention privacy.
    return len(block.text.split()) < 2 * MIN_ABSTRACT and bool(_FOOTER.search(block.text))
