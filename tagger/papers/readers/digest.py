"""Reader for digest pages: a newsletter header, a date line, then titles and abstracts in turn.

Text above the first date line is the header, unless it contains an abstract. Further date lines
are allowed, because users paste the pages of several days together, and some pages have one for
each entry. A title may lack its abstract, and have its authors below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.blocks import (
    MIN_ABSTRACT,
    Block,
    blocks_of,
    count_sentences,
    count_words,
    is_date,
)
from tagger.papers.readers.identifiers import written_identifiers
from tagger.papers.readers.page_parts import AUTHORS, ONE_NAME, names_of, part_of
from tagger.papers.readers.records import Notice, make_paper, shortened
from tagger.papers.readers.source import Source

_FOOTER = re.compile(
    r"\bunsubscribe|\bopt out\b|\b(?:in|your) browser\b|\bpreferences\b|\bprivacy\b|\bcopyright\b"
    r"|\u00a9|\ball rights reserved\b|\byou (?:are )?receiv",
    re.IGNORECASE,
)
_TAGGED_LINE = re.compile(
    r"\s*(?:%\S|#=|\\\w|[<{}\]]|\[(?!\d+\] \S|[^\[\]]+\]\()|[A-Z][A-Z0-9]{1,3} {0,2}- "
    r"|[A-Z][A-Z0-9] \S|\w+ ?[=:]\s|[\"']?\w+[\"']?:\s)"
)
"""A line of tagged fields, markup or a program; a text of mostly such lines is not a digest."""
_NAMED_TITLE = re.compile(r"\s*\w+: \S+ \S.*(?:\n[ \t]*(?:\n|$))")
"""A first line such as "ScanEval: A Benchmark for ...", a blank line below it: not a field."""
_LICENCE = re.compile(
    r"permission is hereby granted|redistribution and use|commons corporation"
    r"|licen[cs]e,? v(?:ersion|er\.|\.)? ?\d",
    re.IGNORECASE,
)
"""Data sets often come with a licence, which has headings and paragraphs, too."""
_CLOSING = re.compile(
    r"(?:let me know|would you like|feel free|happy reading|see you (?:next|soon|tomorrow)"
    r"|thanks for reading|subscribe)\b",
    re.IGNORECASE,
)
MAX_TITLE = 300
"""Characters. The longest of 210 titles measured has 169."""
_MAX_HEADING = 5
"""Words of the heading of a section."""
_SHOWN = 5
"""Number of headings that are named."""
Record = Paper | TaggerError | Notice
Pair = tuple[Block, Block | None]
"""A title and its abstract, if there is one."""


def recognise(source: Source) -> bool:
    """Recognise a digest page by its blocks: titles, at least half of them with an abstract."""
    lines = source.head.splitlines()
    head = "\n".join(lines)
    if source.is_folder or _LICENCE.search(head[:2000]):
        return False
    lines = [line for line in lines if line.strip()]
    fields = [line for line in lines if _TAGGED_LINE.match(line) and not part_of(line.strip())]
    if lines[:1] == fields[:1] and not _NAMED_TITLE.match(head):
        return False
    blocks = blocks_of(head)
    if not source.is_short:
        blocks = blocks[:-1]
    return 2 * len(fields) <= len(lines) and is_page(blocks)


def is_page(blocks: Sequence[Block]) -> bool:
    """Return whether blocks are titles, at least half of them with an abstract."""
    pairs = list(_pairs(_entries(blocks)))
    headings = _headings(pairs)
    titles = [pair for pair in pairs if pair not in headings]
    # Do not take for a title a line that introduces a paragraph.
    count = sum(bool(abstract and title.text[-1] not in ":;") for title, abstract in titles)
    return 0 < len(titles) <= 2 * count


def read(source: Source) -> Iterator[Record]:
    return papers_of(blocks_of(source.text), source)


def papers_of(blocks: Sequence[Block], source: Source) -> Iterator[Record]:
    """Yield the papers of a digest page that is already split into blocks.

    Raises a TaggerError if no paper is found.
    """
    entries = _entries(blocks)
    if not is_page(blocks):
        reason = "it contains only a header" if blocks else "it is blank"
        reason = "it has no titles with abstracts below them" if entries else reason
        line = [*entries[:1], *blocks[-1:], Block(1, "")][0].line
        raise TaggerError(f"there are no papers on this page: {reason}", line=line)
    yield from papers_of_pairs(list(_pairs(entries)), source)


def papers_of_pairs(pairs: Sequence[Pair], source: Source) -> Iterator[Record]:
    """Yield the paper of each title and abstract, an error for each paragraph instead of a title,
    and a notice with the headings.
    """
    headings = _headings(pairs)
    for title, abstract in pairs:
        if (title, abstract) in headings:
            continue
        if not _may_be_title(title.text):
            yield TaggerError(
                f"expected a title, found a paragraph of {len(title.text)} characters",
                line=title.line,
                hint="Write each entry as a title, a blank line, and the abstract in one paragraph",
            )
            continue
        yield make_paper(
            source,
            title.line,
            [title.text],
            [abstract.text] if abstract else [],
            written_identifiers(title.link),
        )
    if headings:
        names = [f"'{shortened(pair[0].text)}'" for pair in pairs if pair in headings]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        yield Notice(f"left out as headings, not papers: {', '.join(names[:_SHOWN])}{more}")


def _entries(blocks: Sequence[Block]) -> list[Block]:
    blocks = _without_page_numbers(_without_footer(blocks))
    dates = [number for number, block in enumerate(blocks) if is_date(block.text)]
    start = dates[0] if dates else 0
    after = [block for number in dates for block in blocks[number + 1 : number + 2]]
    if any(map(_is_long, blocks[:start])):
        # A page without a header, or a day's page below another one.
        start = 0
    elif start and len(after) > 1 and all(block.is_abstract for block in after):
        # Each date stands between a title and its abstract, also the first.
        start -= 1
    entries = _without_headings([block for block in blocks[start:] if not is_date(block.text)])
    return [
        block
        for number, block in enumerate(entries)
        if block.label != "summary"
        or sum(each.is_abstract for each in entries[max(number - 1, 0) : number + 2]) == 1
    ]


def _without_page_numbers(blocks: Sequence[Block]) -> list[Block]:
    """Leave out blocks without letters, but for the title of an abstract."""
    left: list[Block] = []
    for block, below in zip(blocks, [*blocks[1:], None], strict=False):
        has_title = bool(left) and not (left[-1].is_abstract or is_date(left[-1].text))
        is_title = below and below.is_abstract and not has_title
        if is_title or is_date(block.text) or re.search(r"[^\W\d]", block.text):
            left.append(block)
    return left


def _without_headings(blocks: Sequence[Block]) -> list[Block]:
    """Leave out authors, what is between them and the abstract, and headings of sections."""
    above = [list[Block]()]
    for block in blocks:
        if block.is_abstract and not _is_authors(block):
            above.append([])
        else:
            above[-1].append(block)
    above.pop()
    starts = (
        max((n for n in range(1, len(each)) if _is_authors(each[n])), default=0) for each in above
    )
    tails = [each[start:] for each, start in zip(above, starts, strict=True) if start]
    lengths = {len(tail) for tail in tails}
    has_others = len(lengths) == 1 and len(above) <= 2 * len(tails) > 2
    length = lengths.pop() if has_others else 1
    authors = {block for tail in tails if len(tail) == length for block in tail}
    if authors:
        others = (each[-length:] for each in above if len(each) > length)
        authors |= {
            one for tail in others if ONE_NAME.fullmatch(names_of(tail[0].text)) for one in tail
        }
    left = [block for block in blocks if block not in authors]
    sections = {block for block, title in pairwise(left) if 0 < block.level < title.level}
    return [block for block in left if block not in sections]


def _is_authors(block: Block) -> bool:
    return AUTHORS.fullmatch(names_of(block.text) or block.text) is not None


def _pairs(entries: Sequence[Block]) -> Iterator[Pair]:
    """Yield each title with its abstract, or None, and each paragraph in the place of a title."""
    position = 0
    while position < len(entries):
        title, *others = entries[position : position + 2]
        has_abstract = bool(others) and _may_be_title(title.text) and others[0].is_abstract
        yield title, others[0] if has_abstract else None
        position += 1 + has_abstract


def _headings(pairs: Sequence[Pair]) -> set[Pair]:
    """Return the titles that are headings, introduce a list, or say goodbye.

    Such a title has no abstract and no identifier, except a salutation. On a page with sections,
    the first title is a heading, and the others are as short as headings. If the titles of all
    abstracts are labelled, or none of them is a heading of the same level, others are headings.
    """
    titles = [title for title, abstract in pairs if abstract]
    are_labelled = all(title.label == "title" for title in titles)
    levels = {title.level for title in titles}
    has_sections = bool(pairs) and not pairs[0][1] and _is_short(pairs[0][0])
    below = [*(abstract for _, abstract in pairs[1:]), None]
    headings = set[Pair]()
    for (title, abstract), next_abstract in zip(pairs, below, strict=bool(pairs)):
        is_heading = not abstract and (
            title.text.endswith(":")
            or _CLOSING.match(title.text)
            or (titles and (are_labelled or title.level not in levels))
            or (next_abstract and has_sections and _is_short(title))
        )
        is_paper = title.label == "title" or written_identifiers(title.link)
        if not is_paper and (is_heading or title.text.endswith(",")):
            headings.add((title, abstract))
    return headings


def _is_short(title: Block) -> bool:
    return len(title.text.split()) <= _MAX_HEADING and not re.search(r"[:?!]", title.text)


def _may_be_title(text: str) -> bool:
    is_paragraph = count_words(text) >= MIN_ABSTRACT and count_sentences(text) > 1
    return len(text) <= MAX_TITLE and not is_paragraph


def _without_footer(blocks: Sequence[Block]) -> Sequence[Block]:
    """Remove the footer below the last abstract, such as a link to unsubscribe.

    If none of the last blocks looks like a footer, they are kept: one may be a title whose abstract
    is missing.
    """
    end = len(blocks)
    while end and not (blocks[end - 1].is_abstract and not _is_footer(blocks[end - 1])):
        end -= 1
    return blocks[:end] if any(map(_is_footer, blocks[end:])) else blocks


def _is_footer(block: Block) -> bool:
    # An abstract may mention privacy.
    return not _is_long(block) and bool(_FOOTER.search(block.text))


def _is_long(block: Block) -> bool:
    """Return whether a block is longer than a paragraph of a header or footer: an abstract."""
    return count_words(block.text) >= 2 * MIN_ABSTRACT
