"""Find the lines of a page that name a part of a paper, such as "**Authors:** ..." or "Title: ...",
and the lines with authors below a title.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tagger.papers.readers.identifiers import written_identifiers

_NAMES = {
    "title": r"title",
    "abstract": r"abstract",
    "summary": r"(?:short )?summary|tl;?dr",
    "link": r"(?:arxiv |paper |pdf )?(?:links?|urls?)|pdf|paper|doi|arxiv(?: id)?",
    "other": r"authors?|author\(s\)|affiliations?|published(?: (?:on|in|at|date))?"
    r"|publication (?:date|venue)|date|year|submitted(?: on)?|updated|last modified|venue|journal"
    r"|journal ref|conference|subjects?|categor(?:y|ies)|comments?|key ?words?|citations?|cited by"
    r"|readers",
    "only_bold": r"code|source|topics?|tags|type|score|upvotes|project(?: page)?|github"
    r"|institutions?",
}
_LABEL = re.compile(
    r"(?:[-*+\u2022]\s+)?(?P<bold>[*_]{1,3})?(?P<name>"
    + "|".join(f"(?P<{kind}>{names})" for kind, names in _NAMES.items())
    + r")(?P<colons>[*_]{0,3}\s?:{1,2}[*_]{0,3})(?:\s*(?P<value>(?<=[\s*_:])\S.*))?",
    re.IGNORECASE,
)
_IN_ABSTRACT = re.compile(
    r"titles?|authors?|links?|urls?|pdf|doi|arxiv.*|published|key ?words?", re.I
)
"""Names that are names of parts within an abstract, too; others may be those of its sections."""
_NUMBER = re.compile(r"(?:\[\d+\]\s+)?arXiv:(\S+)\s+\[.*", re.IGNORECASE)
"""The line above each title on arXiv's pages: "[1] arXiv:2101.00001 [pdf, html, other]"."""
_SUBMITTED = re.compile(r"Submitted \d{1,2} \w+,? \d{4}(?:;.*)?\.?")
_LINK_WORDS = r"(?:pdf|bib|abs|abstract|html|arxiv|doi|code|link|paper|github|url|view|page|save)"
_ONLY_LINK_WORDS = re.compile(rf"(?:\[?{_LINK_WORDS}\]?(?:[\s,|/\u00b7]+|$))+", re.IGNORECASE)
_LINKS = re.compile(rf"\[{_LINK_WORDS}\]\((https?://[^\s()]+)\)[\s,|/\u00b7]*", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^\s()\[\]<>]+")
_SENTENCE = re.compile(r"[.!?\u2026]$")
_NAME = r"[^\W\d_a-z][\w.'\u2019-]*(?:\s+(?:(?!and\s)[a-z]{1,3}\s+)?[^\W\d_a-z][\w.'\u2019-]*){1,4}"
ONE_NAME = re.compile(_NAME)
AUTHORS = re.compile(
    rf"(?i:by|authors?:)\s+\S.*|{_NAME}(?:(?:[,;|]|\s(?:and|&|\|))\s+(?:(?:and|&)\s+)?{_NAME})+"
    r"(?:,?\s+(?:et al\.?|and others))?"
)
_AFFILIATION_MARKS = re.compile(
    r"[\d*\u2020\u2021\u00a7\u00b9\u00b2\u00b3]+(?=\s*(?:[,;|]|and\b|$))"
)
_AFTER_AUTHORS = re.compile(r"\s+(?:[-\u2013\u2014\u2026\u00b7]\s.*|\([^()]*\)$)")
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


def part_of(line: str) -> Part | None:
    """Return the part that a line names; None if it names none."""
    if number := _NUMBER.fullmatch(line):
        return Part("other", link=f"arxiv:{number[1]}")
    if _SUBMITTED.fullmatch(line) or _ONLY_LINK_WORDS.fullmatch(line):
        return Part("other")
    if "](" in line and not _LINKS.sub("", line).strip("-*\u2022 "):
        return Part("other", link=" ".join(_LINKS.findall(line)))
    label = _LABEL.fullmatch(line)
    if not label or not (label["bold"] or label["name"][0].isupper() or "::" in label["colons"]):
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
        names = [_names(line) for line in lines]
        goes_on = [False, *(_GOES_ON.search(line) for line in lines)]
        below = [n for n in range(1, len(lines)) if not goes_on[n]]
        if authors := [n for n in below if AUTHORS.fullmatch(names[n])]:
            several.add(start + authors[0])
        elif below and below[0] == 1 and ONE_NAME.fullmatch(names[1]):
            single.add(start + 1)
    return several | single if several and 2 * len(several | single) >= count else set()


def _names(line: str) -> str:
    """Return a line without marks of affiliations and venue; empty if it has words of titles."""
    names = _AFTER_AUTHORS.sub("", _AFFILIATION_MARKS.sub("", line.strip(" *_")))
    return "" if _OF_TITLES.search(names) else names.strip()
