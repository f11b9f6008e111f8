"""Reader for the issues of NEP (New Economics Papers) of RePEc: e-mails and the text of pages.

An issue is a numbered list of papers, often after a numbered table of contents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.identifiers import identifiers_of, mentions
from tagger.papers.readers.records import make_paper, numbered_entries, paragraphs_of
from tagger.papers.readers.source import Source

_START = re.compile(r"New Economics Papers|\bd\.repec\.org/n\?u=", re.IGNORECASE)
_FIRST = re.compile(r"^\s*\d+\. ", re.MULTILINE)
_FIELD = re.compile(r"\s*(By|Abstract|Keywords?|JEL|Date|URL|Note)\s*:\s*", re.IGNORECASE)
_SEVERAL_LINES = ("by", "keyword", "keywords", "abstract")
_BY = re.compile(r"\s+By:? (?=[^\W\d_])")
_RULE = re.compile(r"\s*[-_=*]{5,}\s*")


def recognise(source: Source) -> bool:
    return bool(_START.search(source.head) and _FIRST.search(source.head))


def read(source: Source) -> Iterator[Paper | TaggerError]:
    # The last entry of a number is the paper, an earlier one is in the table of contents.
    entries: dict[int, tuple[int, list[str]]] = {}
    titles: dict[int, str] = {}
    for number, line, lines in numbered_entries(source.text):
        entries[number] = line, lines
        titles[number] = titles.get(number) or _title(lines)
    for number, (line, lines) in entries.items():
        title = _title(lines) or titles[number]
        dois = mentions("doi", " ".join(lines))
        yield make_paper(source, line, [title], [_abstract(lines)], identifiers_of(dois=dois))


def _title(lines: Sequence[str]) -> str:
    """Return the first lines of an entry, up to a blank line, a field or indented authors."""
    kept = list[str]()
    for line in lines:
        if not line.strip() or _FIELD.match(line) or (kept and line.startswith("    ")):
            break
        kept.append(line.strip())
    return _BY.split(" ".join(kept))[0]


def _abstract(lines: Sequence[str]) -> str:
    """Return the text of the field "Abstract", or else the text that is in no field."""
    labelled, free = list[str](), list[str]()
    name, has_authors = "", False
    for line in lines:
        found = _FIELD.match(line)
        if found:
            name, line = found[1].lower(), line[found.end() :]
            has_authors = has_authors or name == "by"
            free.append("")
        elif not line.strip() or _RULE.fullmatch(line):
            name = ""
        if name == "abstract":
            labelled.append(line)
        elif not name:
            free.append("" if _RULE.fullmatch(line) else line)
        if name not in _SEVERAL_LINES:
            name = ""
    if labelled:
        return " ".join(labelled)
    # The title, and then the authors unless a field has them.
    texts = paragraphs_of(["", *free])
    return " ".join(texts[1 if has_authors else 2 :])
