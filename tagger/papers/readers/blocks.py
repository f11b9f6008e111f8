"""Split a page of text into blocks: its paragraphs, without marks of Markdown and labels.

Blocks end at blank lines, rules, and lines that say only "Abstract". A line that is only a date is
a block, and so is a title without a blank line below it, if the abstract is one long line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.?"
_DATE_LINE = re.compile(
    rf"(?:week of\s+)?(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+)?"
    rf"(?:{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+\d{{4}})?"
    rf"|\d{{1,2}}\s+{_MONTH}(?:,?\s+\d{{4}})?"
    rf"|{_MONTH}\s+\d{{4}}"
    r"|week\s+\d{1,2}(?:,?\s+\d{4})?"
    r"|\d{4}([./-])\d{1,2}\1\d{1,2}|\d{1,2}([./-])\d{1,2}\2\d{4}"
    r"|(?:\d{4}\s*\u5e74\s*)?\d{1,2}\s*\u6708\s*\d{1,2}\s*\u65e5(?:\s*[(\uff08]?\w{1,3}[)\uff09]?)?)",
    re.IGNORECASE,
)
_LINK_LINE = re.compile(r"\s*[<(\[]?(https?://\S+?)[>)\]]?\s*")
_NO_TEXT = re.compile(r"[-*_=~\u2013\u2014]{3,}|[#*_\s]*abstract[*_\s]*[:.]?[*_]*", re.IGNORECASE)
"""A rule, or the heading of an abstract."""
_ABSTRACT = re.compile(
    r"[*_]{0,3}abstract[*_]{0,3}(?:[:.]|\s*[\u2013\u2014-])[*_]{0,3}\s+(?=\S)", re.IGNORECASE
)
_MARKS = re.compile(r"(?:(#{1,6})\s+)?(?:[-*+\u2022]\s+)?(?:(?:\d{1,3}[.)]|\[\d{1,3}\])\s+)?(?=\S)")
"""A heading of Markdown, an item of a list, a number."""
_EMPHASIS = re.compile(r"(\*{1,3}|_{1,3})(?=\S)(.+?)(?<=\S)\1")
_TITLE_WITH_LINK = re.compile(r"\[([^\[\]]+)\]\((https?://[^\s()]+)\)")
_SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?=\s|$)|[\u3002\uff01\uff1f\uff0e]")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
MIN_ABSTRACT = 25
"""Words. A single sentence with fewer words is a title, not an abstract."""


class Block(NamedTuple):
    """A paragraph of a page.

    ``line`` is the number of its first line, or None if the file has no lines. ``level`` is the
    level of a Markdown heading, or 0 if the block is not a heading.
    """

    line: int | None
    text: str
    link: str = ""
    level: int = 0


def blocks_of(text: str) -> list[Block]:
    """Split a text into blocks.

    A line that is only a link is the link of its block, or of the block before. Within an abstract
    links and dates are text.
    """
    blocks: list[Block] = []
    lines: list[str] = []
    link, start = "", 1
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        stripped = "" if _NO_TEXT.fullmatch(line.strip()) else line.strip()
        found, is_day = _LINK_LINE.fullmatch(line), is_date(stripped)
        in_abstract = (found or is_day) and is_abstract(" ".join(lines[:MIN_ABSTRACT]))
        if found and not in_abstract:
            link = link or found[1]
        elif stripped and (in_abstract or not is_day):
            start = start if lines else number
            lines.append(stripped)
        else:
            if lines:
                blocks += _blocks_of_lines(lines, start, link)
            elif link and blocks:
                blocks[-1] = blocks[-1]._replace(link=blocks[-1].link or link)
            if is_day:
                blocks.append(Block(number, stripped))
            lines, link = [], ""
    return blocks


def _blocks_of_lines(lines: Sequence[str], start: int, link: str) -> list[Block]:
    """Return the block of some lines, or a title and the abstract below it."""
    end = next((n for n, line in enumerate(lines) if count_words(line) >= MIN_ABSTRACT), 0)
    title, rest = " ".join(lines[:end]), " ".join(lines[end:])
    # Not the first lines of an abstract in which each line is long.
    if end and not is_abstract(title) and len(lines[end]) > 3 * max(map(len, lines[:end])):
        return [_without_marks(start, title, link), _without_marks(start + end, rest, "")]
    return [_without_marks(start, rest if not end else f"{title} {rest}", link)]


def _without_marks(line: int, text: str, link: str) -> Block:
    marks = _MARKS.match(text)
    level, title = (len(marks[1] or ""), text[marks.end() :]) if marks else (0, text)
    if is_abstract(title):
        label = _ABSTRACT.match(text)
        return Block(line, text[label.end() :] if label else text, link)
    for _ in range(2):  # a link in bold, or bold in a link
        if emphasised := _EMPHASIS.fullmatch(title):
            title = emphasised[2]
        if linked := _TITLE_WITH_LINK.fullmatch(title):
            title, link = linked[1], link or linked[2]
    return Block(line, title, link, level)


def is_date(text: str) -> bool:
    return _DATE_LINE.fullmatch(text) is not None


def is_abstract(text: str) -> bool:
    """Return whether a text is an abstract, not a title: it is long or has several sentences."""
    return count_words(text) >= MIN_ABSTRACT or count_sentences(text) > 1


def count_sentences(text: str) -> int:
    """Return the number of ends of sentences."""
    return len(_SENTENCE_END.findall(text))


def count_words(text: str) -> int:
    """Return the number of words; two Chinese or Japanese characters count as one."""
    return len(text.split()) + len(_IDEOGRAPHS.findall(text)) // 2
