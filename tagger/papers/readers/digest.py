"""Reader for digest pages: a newsletter header, a date line, then title and abstract in turn.

Blocks are separated by blank lines. The header is whatever is above the date line; further date
lines between entries are allowed, since pages of several days get pasted together.
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
LONGEST_TITLE = 300
"""Characters; the longest title of the 210 in use has 169."""
SHORTEST_ABSTRACT = 25
"""A text of a single sentence with fewer words is a title, not an abstract."""


class Block(NamedTuple):
    """A paragraph, and the line that it begins at where lines mean something."""

    line: int | None
    text: str


def recognise(_source: Source) -> bool:
    """Tell nothing: any text that no other format has is a digest page."""
    return False


def read(source: Source) -> list[Paper]:
    """Read the papers of one digest page."""
    return papers_of(list(blocks_of(source.text)), source)


def papers_of(blocks: Sequence[Block], source: Source) -> list[Paper]:
    """Read the papers of a page that is already taken apart into blocks, as :func:`read` does."""
    dates = [number for number, block in enumerate(blocks) if is_date(block.text)]
    body = blocks[dates[0] :] if dates else blocks
    entries = [block for block in body if not is_date(block.text)]
    if not entries:
        what = "only a newsletter header" if blocks else "nothing but white space"
        line = blocks[-1].line if blocks else 1
        raise TaggerError(f"no papers on this page, {what}", line=line)
    papers = []
    for title, abstract in zip(entries[::2], [*entries[1::2], None], strict=False):
        if len(title.text) > LONGEST_TITLE:
            raise TaggerError(
                f"expected a title, found a paragraph of {len(title.text)} characters",
                line=title.line,
                hint="Each entry is a title, a blank line, and its abstract as one paragraph",
            )
        if abstract is None or not is_abstract(abstract.text):
            short = title.text if len(title.text) <= 60 else f"{title.text[:59]}\u2026"
            raise TaggerError(
                f"the title '{short}' has no abstract",
                line=title.line,
                hint="Add its abstract after a blank line, or take the title out",
            )
        papers.append(Paper(clean_text(title.text), clean_text(abstract.text), (source.name,)))
    return papers


def without_footer(blocks: Sequence[Block]) -> Sequence[Block]:
    """Take off what a newsletter says of itself below the last abstract, such as how to leave.

    Blocks of which none speaks of that are kept: one may be a title that lost its abstract.
    """
    end = len(blocks)
    while end and not (is_abstract(blocks[end - 1].text) and not _is_footer(blocks[end - 1])):
        end -= 1
    return blocks[:end] if any(map(_is_footer, blocks[end:])) else blocks


def blocks_of(text: str) -> Iterator[Block]:
    """Take a text apart into blocks, at blank lines."""
    lines: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.strip():
            lines.append(line.strip())
        elif lines:
            yield Block(number - len(lines), " ".join(lines))
            lines = []


def is_date(text: str) -> bool:
    """Tell whether a block is a date and nothing else."""
    return _DATE_LINE.fullmatch(text) is not None


def is_abstract(text: str) -> bool:
    """Tell an abstract from a title, by its words and sentences."""
    return len(text.split()) >= SHORTEST_ABSTRACT or len(_SENTENCE_END.findall(text)) > 1


def _is_footer(block: Block) -> bool:
    # Longer than any footer's paragraph: an abstract may well speak of privacy.
    return len(block.text.split()) < 2 * SHORTEST_ABSTRACT and bool(_FOOTER.search(block.text))
