"""Find the lines of a page that name a part of a paper, such as "**Authors:** ..." or "Title: ...",
and the lines with authors below a title.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tagger.papers.readers.identifiers import written_identifiers

_NAMES = {
    "title": r"title|\u6807\u9898|\u6a19\u984c|\u9898\u76ee|\u984c\u76ee|\u30bf\u30a4\u30c8\u30eb",
    "abstract": r"abstract|\u6458\u8981|\u8981\u65e8|\u6982\u8981|\u6284\u9332",
    "summary": r"(?:short )?summary|tl;?dr",
    "link": r"(?:arxiv |paper |pdf )?(?:links?|urls?)|pdf|paper|doi|arxiv(?: id)?"
    r"|(?:\u8bba\u6587)?\u94fe\u63a5|\u9023\u7d50|\u30ea\u30f3\u30af",
    "other": r"authors?|author\(s\)|affiliations?|published(?: (?:on|in|at|date))?"
    r"|publication (?:date|venue)|date|year|submitted(?: on)?|updated|last modified|venue|journal"
    r"|journal ref|conference|subjects?|categor(?:y|ies)|comments?|key ?words?|citations?|cited by"
    r"|readers|tags|status|created(?: time)?|last edited(?: time)?"
    r"|\u4f5c\u8005|\u8457\u8005|\u5173\u952e\u8bcd|\u30ad\u30fc\u30ef\u30fc\u30c9|\u65e5\u671f|\u65e5\u4ed8",
    "only_bold": r"code|source|topics?|type|score|upvotes|project(?: page)?|github"
    r"|institutions?",
}
_LABEL = re.compile(
    r"(?:[-*+\u2022]\s+)?(?P<bold>[*_]{1,3})?(?P<name>"
    + "|".join(f"(?P<{kind}>{names})" for kind, names in _NAMES.items())
    + r")(?P<colons>[*_]{0,3}\s?(?:::?|\uff1a)[*_]{0,3})(?:\s*(?P<value>(?<=[\s*_:\uff1a])\S.*))?",
    re.IGNORECASE,
)
_IN_ABSTRACT = re.compile(
    r"titles?|authors?|links?|urls?|pdf|doi|arxiv.*|published|key ?words?", re.I
)
"""Names that are names of parts within an abstract, too; others may be those of its sections."""
_NUMBER = re.compile(r"(?:(?:\[\d+\]|\d+\.)\s+)?arXiv:(\S+)\s+(?:\[|Announce ).*", re.IGNORECASE)
"""A line at each title on arXiv's pages: "[1] arXiv:2101.00001 [pdf, html, other]"."""
_ANNOUNCED = re.compile(r"submitted .*; originally announced ", re.IGNORECASE)
"""A line below each abstract in the results of arXiv's search."""
_LINK_WORDS = (
    r"(?:pdf|bib|abs|abstract|html|arxiv|doi|code|link|paper|github|url|view|page|save|read|more"
    r"|the|full|text|here)"
)
_OTHER = re.compile(
    rf"(?:\[?{_LINK_WORDS}\]?(?:[\s,|/\u00b7]+|$))+|(?:[-*]\s+)?[\w-]+::(?:\s.*)?"
    r"|[*_]*(?:submitted|published|posted)(?: on)? (?:\d{1,2} \w+|\w+ \d{1,2}|\d{4}-\d\d?-\d\d?)"
    r"(?:,? \d{4})?[*_]*(?:[;|].*)?\.?",
    re.IGNORECASE,
)
"""Words of links, a property of Obsidian or Logseq, or the day."""
_LINKS = re.compile(rf"\[{_LINK_WORDS}\]\((https?://[^\s()]+)\)[\s,|/\u00b7]*", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^\s()\[\]<>]+")
_SENTENCE = re.compile(r"[.!?\u2026]$")
_NAME = r"[^\W\d_a-z][\w.'\u2019-]*(?:\s+(?:(?!and\s)[a-z]{1,3}\s+)?[^\W\d_a-z][\w.'\u2019-]*){1,4}"
ONE_NAME = re.compile(_NAME)
AUTHORS = re.compile(
    rf"(?i:by|authors?:)\s+\S.*|{_NAME}(?:(?:[,;|]|\s(?:and|&|\|))\s+(?:(?:and|&)\s+)?{_NAME})+"
    r"(?:,?\s+(?:et al\.?|and others))?"
)
_AFFILIATION_MARK = r"[\d*\u2020\u2021\u00a7\u00b9\u00b2\u00b3]"
_AFFILIATION_MARKS = re.compile(
    rf"(?<!{_AFFILIATION_MARK}){_AFFILIATION_MARK}++(?=\s*(?:[,;|]|and\b|$))"
)
_AFTER_AUTHORS = re.compile(r"(?<!\s)\s++(?:[-\u2013\u2014\u2026\u00b7]\s.*|\([^()]*\)$)")
_OF_TITLES = re.compile(
    r"\b(?:a|for|with|in|the|on|via|using|their|models?|networks?|learning|data|systems?|survey)\b",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"(?:[:,\-\u2013\u2014]|\b[a-z]{1,4})$")
"""The end of the first line of a title of several lines."""


class Part(NamedTuple):
    """A line that names a part of a paper: ``title``, ``abstract``, ``summary`` or ``other``."""

    kind: str
    text: str = ""
    link: str = ""
    may_be_in_abstract: bool = False


def ends_abstract(line: str) -> bool:
    """Return whether a line is below an abstract, or at the next title, on arXiv's pages."""
    return bool(_NUMBER.fullmatch(line) or _ANNOUNCED.match(line))


def part_of(line: str) -> Part | None:
    """Return the part that a line names; None if it names none."""
    if number := _NUMBER.fullmatch(line):
        return Part("other", link=f"arxiv:{number[1]}")
    label = _LABEL.fullmatch(line)
    if not label and _OTHER.fullmatch(line):
        return Part("other")
    if "](" in line and not re.search(r"\w", _LINKS.sub("", line)):
        return Part("other", link=" ".join(_LINKS.findall(line)))
    if not label or not (label["bold"] or "::" in line or not label["name"][0].islower()):
        return None
    kind, value = next(name for name in _NAMES if label[name]), label["value"] or ""
    if label["bold"] and label["bold"][0] not in label["colons"]:
        value = value.removesuffix(label["bold"])  # the whole line is in italics
    often = _IN_ABSTRACT.fullmatch(label["name"]) is not None
    if kind == "link":
        link = " ".join(_ADDRESS.findall(value) or [value.strip("*_<>()[]`")])
        is_link = "://" in link or written_identifiers(link)
        return Part("other", link=link, may_be_in_abstract=often) if is_link else None
    is_doubtful = kind == "only_bold" or (kind == "summary" and not _SENTENCE.search(value))
    if is_doubtful and not label["bold"]:
        return None
    if kind in ("title", "abstract", "summary"):
        return Part(kind, value, may_be_in_abstract=often)
    return Part("other", may_be_in_abstract=often)


def author_lines(titles: Iterable[tuple[int, Sequence[str]]]) -> set[int]:
    """Return the numbers of the lines with authors below the first line of a title.

    ``titles`` are the number of the first line, and the lines, of each title of several lines.
    There are none unless half of these titles have two authors or more.
    """
    several, single, count = set[int](), set[int](), 0
    for start, lines in titles:
        count += 1
        names = [names_of(line) for line in lines]
        goes_on = [False, *(_GOES_ON.search(line) for line in lines)]
        below = [n for n in range(1, len(lines)) if not goes_on[n]]
        if authors := [n for n in below if AUTHORS.fullmatch(names[n])]:
            several.add(start + authors[0])
        elif below and below[0] == 1 and ONE_NAME.fullmatch(names[1]):
            single.add(start + 1)
    return several | single if several and 2 * len(several | single) >= count else set()


def are_authors(text: str) -> bool:
    """Return whether a text below or behind a title is the names of its authors."""
    names = names_of(text).lstrip("-\u2013\u2014, ")
    return bool(AUTHORS.fullmatch(names) or ONE_NAME.fullmatch(names))


def names_of(line: str) -> str:
    """Return a line without marks of affiliations and venue; empty if it has words of titles."""
    names = _AFTER_AUTHORS.sub("", _AFFILIATION_MARKS.sub("", line.strip(" *_'")))
    return "" if _OF_TITLES.search(names) else names.strip(" ,")
