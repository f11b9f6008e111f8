"""Split a page of text into blocks: its paragraphs, without marks of Markdown and labels.

Blocks end at blank lines, rules, headings, and lines that say only "Abstract". A line that is only
a date is a block, and so is a title without a blank line above or below it, if each abstract is
one long line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from tagger.papers.readers.identifiers import written_identifiers
from tagger.papers.readers.page_parts import (
    Part,
    are_authors,
    author_lines,
    ends_abstract,
    part_of,
)

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
_NO_TEXT = re.compile(
    r"[-*_=~\u2013\u2014]{3,}|\[!\w+\][-+]?|[#*_\s]*(?:abstract|summary|tl;?dr)[*_\s]*[:.]?[*_]*",
    re.IGNORECASE,
)
"""A rule, or the heading of an abstract."""
_ABSTRACT = re.compile(
    r"[*_]{0,3}abstract[*_]{0,3}(?:[:.]|\s*[\u2013\u2014-])[*_]{0,3}\s+(?=\S)", re.IGNORECASE
)
_QUOTE = re.compile(r"^\s*(?:>+(?:\s+|$))+")
_TOGGLE = re.compile(r" (?:\u25b3 Less|\u25bd More)$")
"""The end of an abstract in the results of arXiv's search."""
_YAML = re.compile(r"\s*$|[\w-]+:|\s+\S|- ")
_MAX_PREAMBLE = 100
"""Lines."""
_BULLET = r"(?:(?:[-*+\u2013\u2014\u2022\u25aa\u25cb\u25cf\u25e6]|o(?=\t))\s+)"
_MARKS = re.compile(
    rf"{_BULLET}?(?:(#{{1,6}}|={{1,6}})\s+)?{_BULLET}?(?:\[(?:[ xX]|!\w+)\][-+]?\s+)?"
    r"(?:(?:\d{1,3}[.)/]|\[\d{1,3}\])\s+|\d{1,3}\u3001\s*|\u3010\d{1,3}\u3011\s*)?(?=\S)"
)
"""An item of a list, a heading, an item, a task or a callout, a number."""
_DASH = re.compile(rf"^{_BULLET}")
_HEADING = re.compile(rf"{_BULLET}?#{{1,6}}\s+[^\sa-z]")
_EMPHASIS = re.compile(r"(\*{1,3}|_{1,3})(?=\S)(.+?)(?<=\S)\1")
_BOLD_ITEM = re.compile(
    rf"(?:{_BULLET}|\d{{1,3}}[.)]\s+)(\*\*|__)(?P<title>\S.*?)\1(?P<mark>\s*[:.\u2013\u2014-])?"
    r"(?:\s*\([^()]*\)[:.,]?)?\s+(?P<text>\S.*)"
)
_ITEM = re.compile(rf"{_BULLET}|\d{{1,3}}[.)]\s")
_NOTE_LINK = re.compile(r"\[\[(?:[^\[\]|]+\|)?([^\[\]|]+)\]\]")
TITLE_WITH_LINK = re.compile(r"\[([^\[\]]+)\]\((https?://[^\s()]+)\)")
_TITLE_AND_REST = (
    re.compile(
        r"((\*\*|__)\S.*?\2|\[[^\[\]]+\]\(https?://[^\s()]+\))\s*(?P<rest>\(.*\)|\W?\s*\w.*)"
    ),
    re.compile(
        r"(\S.*?)(?<=\S)\s++(?P<rest>[(\[](?:arxiv:|doi:|https?:)[^()]+[)\]])\.?", re.IGNORECASE
    ),
)
"""A title with its authors or its link in the same line."""
_SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?=\s|$)|[\u3002\uff01\uff1f\uff0e]")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
MIN_ABSTRACT = 25
"""Words. A single sentence with fewer words is a title, not an abstract."""


class Block(NamedTuple):
    """A paragraph of a page.

    ``line`` is the number of its first line, or None if the file has no lines. ``level`` is the
    level of a Markdown heading, or 0 if the block is not a heading. ``label`` is ``title``,
    ``abstract`` or ``summary`` if the page names the part so.
    """

    line: int | None
    text: str
    link: str = ""
    level: int = 0
    label: str = ""

    @property
    def is_abstract(self) -> bool:
        return self.label != "title" and (bool(self.label) or is_abstract(self.text))


def blocks_of(text: str) -> list[Block]:
    """Split a text into blocks.

    A line that is only a link is the link of its block, or of the block before. Within an abstract
    links and dates are text, except the link of a paper at its end. Lines with authors or another
    label end the title above them; what is between them and the end of the paragraph is left out,
    unless it is an abstract.
    """
    lines = [_QUOTE.sub("", line).rstrip() for line in _without_preamble(text)]
    items = _bold_items(lines)
    lines = [_TOGGLE.sub("", line.strip()) for line in lines]
    lines = ["" if _NO_TEXT.fullmatch(line) else line for line in lines]
    authors, starts = author_lines(_titles_of_lines(lines)), _titles_below_abstracts(lines)
    page = _Page()
    lines.append("")
    for number, line in enumerate(lines, start=1):
        found, is_day = _LINK_LINE.fullmatch(line), is_date(line)
        is_end = number in starts or ends_abstract(line)
        if _HEADING.match(line) or (is_end and page.in_abstract):
            page.end_paragraph()
        if item := items.get(number):
            page.end_paragraph()
            page.add_part(number, Part("title", item[0]))
            page.add_part(number, Part("abstract", item[1]))
            continue
        part = Part("other") if number in authors else part_of(line)
        if (found or is_day or part) and page.in_abstract:
            is_last = not lines[number] or number + 1 in starts
            found = found if found and is_last and written_identifiers(found[1]) else None
            is_day = False
            part = part if part and part.may_be_in_abstract else None
        if part:
            page.add_part(number, part)
        elif found:
            page.link = page.link or found[1]
        elif line and not is_day:
            page.add_line(number, line)
        else:
            page.end_paragraph()
            if is_day:
                page.blocks.append(Block(number, line))
    return _with_links_below(page.blocks)


class _Page:
    """The blocks of a page, and the lines, link and label of the block that is not complete."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.link, self._lines, self._start, self._label = "", list[str](), 1, ""
        self._below_title = False

    @property
    def in_abstract(self) -> bool:
        return is_abstract(" ".join(self._lines[:MIN_ABSTRACT]))

    def add_line(self, number: int, line: str) -> None:
        self._start = self._start if self._lines else number
        self._lines.append(line)

    def add_part(self, number: int, part: Part) -> None:
        if part.kind == "other":
            if self._lines and not self.in_abstract:
                self._end_block()
                self._below_title = True
            if self._below_title and part.link:
                last = self.blocks[-1]
                self.blocks[-1] = last._replace(link=f"{last.link} {part.link}".strip())
            else:
                self.link = f"{self.link} {part.link}".strip()
            return
        if self._lines:
            self._end_block()
        self._below_title, self._label = False, part.kind
        if part.text:
            self.add_line(number, part.text)

    def end_paragraph(self) -> None:
        if self._lines:
            self._end_block()
        elif self.link and self.blocks:
            last = self.blocks[-1]
            self.blocks[-1] = last._replace(link=last.link or self.link)
        self.link, self._label, self._below_title = "", "", False

    def _end_block(self) -> None:
        blocks = _blocks_of_lines(self._lines, self._start, self.link)
        if self._label == "title":
            blocks[0] = blocks[0]._replace(label="title")
        elif self._label:
            text = " ".join(self._lines)
            blocks = [Block(self._start, text, self.link, label=self._label)]
        elif self._below_title:
            blocks = blocks[-1:] if self.in_abstract else []
        self.blocks += blocks
        self._lines, self.link, self._label = [], "", ""


def _with_links_below(blocks: list[Block]) -> list[Block]:
    """Give titles the links below their abstracts, if the last abstract has such a link.

    Otherwise a link may be that of the title below it.
    """
    below = [number for number, block in enumerate(blocks) if number and block.is_abstract]
    if below and written_identifiers(blocks[below[-1]].link):
        for number in below:
            title = blocks[number - 1]
            if not title.is_abstract:
                blocks[number - 1] = title._replace(link=title.link or blocks[number].link)
    return blocks


def _without_preamble(text: str) -> list[str]:
    """Return the lines of a text, blank ones instead of the YAML at the top of a note."""
    lines = text.splitlines()
    if lines and lines[0].strip() == "---" and "---" in lines[1:_MAX_PREAMBLE]:
        end = lines.index("---", 1)
        if all(map(_YAML.match, lines[1:end])):
            lines[: end + 1] = [""] * (end + 1)
    return lines


def _bold_items(lines: Sequence[str]) -> dict[int, tuple[str, str]]:
    """Return the title and the first line of the abstract of items "- **Title** (authors). Text".

    They are found by the number of their line, on a page with several of them.
    """
    items = {}
    for number, line in enumerate(lines, start=1):
        if not (item := _BOLD_ITEM.fullmatch(line)):
            continue
        below = takewhile(lambda line: line and not _ITEM.match(line), lines[number:])
        title, text = item["title"].removesuffix(":"), item["text"]
        goes_on = are_authors(text) or (not item["mark"] and text[0].islower())
        if len(title.split()) > 2 and not goes_on and is_abstract(" ".join([text, *below])):
            items[number] = title, text
    return items if len(items) > 1 else {}


def _titles_of_lines(lines: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the number of the first line, and the lines, of each title of several lines."""
    start = 0
    for end, line in enumerate([*lines, ""]):
        is_long = count_words(line) >= MIN_ABSTRACT
        if line and not is_long and not part_of(line):
            continue
        title = lines[start:end]
        if len(title) > 1 and (is_long or not is_abstract(" ".join(title))):
            yield start + 1, title
        start = end + 1


def _titles_below_abstracts(lines: Sequence[str]) -> set[int]:
    """Return the numbers of lines with a title right below an abstract of one long line.

    All abstracts of the paragraph have a title right above them.
    """
    starts, titles = set[int](), list[int]()
    title, above = 0, ""
    for number, line in enumerate([*lines, ""], start=1):
        if not line:
            starts.update(titles if 0 not in titles else ())
            titles, title, above = [], 0, ""
        elif count_words(line) < MIN_ABSTRACT:
            title = title or (0 if part_of(line) or _LINK_LINE.fullmatch(line) else number)
        else:
            if title or not above:
                is_title = title and _is_between(above, lines[title - 1], line)
                titles.append(title if is_title else 0)
            title, above = 0, line
    return starts


def _is_between(above: str, title: str, below: str) -> bool:
    """Return whether a line between two long lines is a title, not a heading or an end of text."""
    marks = _MARKS.match(title)
    is_named = count_words(title) > 2 or bool(marks and marks[0])
    ends = not above or bool(_SENTENCE_END.search(above[-2:]))
    return is_named and ends and title[-1] not in ".,;:" and len(below) > 2 * len(title)


def _blocks_of_lines(lines: Sequence[str], start: int, link: str) -> list[Block]:
    """Return the block of some lines, or a title and the abstract below it."""
    end = next((n for n, line in enumerate(lines) if count_words(line) >= MIN_ABSTRACT), 0)
    title, rest = " ".join(lines[:end]), " ".join(lines[end:])
    # Not the first lines of an abstract in which each line is long.
    if end and not is_abstract(title) and len(lines[end]) > 2 * max(map(len, lines[:end])):
        return [_without_marks(start, title, link), _without_marks(start + end, rest, "")]
    return [_without_marks(start, rest if not end else f"{title} {rest}", link)]


def _without_marks(line: int, text: str, link: str) -> Block:
    marks = _MARKS.match(text)
    level, title = (len(marks[1] or ""), text[marks.end() :].rstrip("= ")) if marks else (0, text)
    if is_abstract(title):
        label = _ABSTRACT.match(text)
        return Block(line, text[label.end() :] if label else _DASH.sub("", text), link)
    title, rest = _without_rest(title)
    link = link or rest
    for _ in range(2):  # a link in bold, or bold in a link
        if emphasised := _EMPHASIS.fullmatch(title):
            title = _MARKS.sub("", emphasised[2], 1)
        if noted := _NOTE_LINK.fullmatch(title):
            title = noted[1]
        if linked := TITLE_WITH_LINK.fullmatch(title):
            title, link = linked[1], link or linked[2]
    return Block(line, title, link, level)


def _without_rest(title: str) -> tuple[str, str]:
    """Return a title without the authors or link in its line, and the identifiers of that."""
    for pattern in _TITLE_AND_REST:
        if found := pattern.fullmatch(title):
            rest = found["rest"]
            link = " ".join(written_identifiers(rest.strip("()[].")))
            if link or are_authors(rest) or (rest[0] == "(" and count_words(found[1]) > 2):
                return found[1], link
    return title, ""


def is_date(text: str) -> bool:
    return _DATE_LINE.fullmatch(text) is not None


def is_abstract(text: str) -> bool:
    """Return whether a text is an abstract, not a title: it is long or has several sentences."""
    return count_words(text) >= MIN_ABSTRACT or count_sentences(_MARKS.sub("", text, 1)) > 1


def count_sentences(text: str) -> int:
    """Return the number of ends of sentences."""
    return len(_SENTENCE_END.findall(text))


def count_words(text: str) -> int:
    """Return the number of words; two Chinese or Japanese characters count as one."""
    return len(text.split()) + len(_IDEOGRAPHS.findall(text)) // 2
