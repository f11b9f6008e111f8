"""Reader for the daily listing that arXiv sends by e-mail.

Lines of two backslashes separate the fields of a paper, its abstract and the next paper. See
https://info.arxiv.org/help/subscribe.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.identifiers import identifiers_of
from tagger.papers.readers.records import Notice, TaggedFields, make_paper
from tagger.papers.readers.source import Source

_START = re.compile(r"^\\\\[ \t]*\r?\n(?:arXiv|Paper):\s*\S", re.MULTILINE)
_SEPARATOR = re.compile(r"^\\\\[ \t]*(\(.*)?\r?$", re.MULTILINE)
_FIELD = re.compile(r"([A-Z][\w-]*): ?", re.IGNORECASE)
_NUMBER = re.compile(r"\s*(?:arXiv|Paper):\s*(\S+)")


def recognise(source: Source) -> bool:
    return _START.search(source.head) is not None


def read(source: Source) -> Iterator[Paper | TaggerError | Notice]:
    """Yield the paper of each entry, or an error for an invalid entry.

    Replacements are skipped: they are listed without abstract, as their papers were listed before.
    """
    text = source.text
    separators = list(_SEPARATOR.finditer(text))
    ends = [*(found.start() for found in separators), len(text)][1:]
    replaced = 0
    for number, (found, end) in enumerate(zip(separators, ends, strict=True)):
        header = text[found.end() : end]
        name = _NUMBER.match(header)
        if not name or found[1]:
            continue
        # The separator after an entry has the address of the paper.
        is_followed = number + 1 < len(separators) and not separators[number + 1][1]
        if not is_followed and "\nreplaced " in header:
            replaced += 1
            continue
        fields = TaggedFields.of(header.split("\n"), _FIELD)
        by_name = {key.lower(): values for key, values in fields.items()}
        abstract = text[separators[number + 1].end() : ends[number + 1]] if is_followed else ""
        line = text.count("\n", 0, found.end()) + 2
        identifiers = identifiers_of(dois=by_name.get("doi", []), arxiv=[name[1]])
        yield make_paper(source, line, by_name.get("title", []), [abstract], identifiers)
    if replaced:
        yield Notice(f"{replaced} replaced papers are listed without abstract and are skipped")
