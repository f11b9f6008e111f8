"""Reader for saved web pages and newsletters in HTML.

A page is converted to the blocks of a digest page. If the titles are headings, the text between a
title and its abstract (authors, links) and the text above the first title are skipped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tagger.papers.paper import Paper
from tagger.papers.readers.digest import (
    MIN_ABSTRACT,
    Block,
    is_abstract,
    is_date,
    papers_of,
    without_footer,
)
from tagger.papers.readers.markup import MarkupBlock, blocks_of_markup, root_element
from tagger.papers.readers.source import Source, parsing

_ONLY_LABEL = re.compile(r"(?:abstract|summary)\s*:?", re.IGNORECASE)
_LABEL = re.compile(r"(?:title|abstract)\s*:\s*", re.IGNORECASE)


def recognise(source: Source) -> bool:
    """Recognise a web page by its document type or root element."""
    return root_element(source.head) in ("html", "head", "body")


def read(source: Source) -> list[Paper]:
    """Read the papers of a saved web page."""
    try:
        markup: str | bytes = source.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # The encoding is declared in the page.
        markup = source.data
    with parsing("HTML"):
        blocks = digest_blocks(markup)
    return papers_of(blocks, source)


def digest_blocks(markup: str | bytes) -> Sequence[Block]:
    """Convert HTML to the blocks of a digest page."""
    blocks = [block for block in blocks_of_markup(markup) if not _ONLY_LABEL.fullmatch(block.text)]
    sections = _sections(blocks)
    kind = _kind_of_titles(sections)
    if kind:
        texts = [text for section in sections if section.kind == kind for text in section.texts]
    else:
        texts = [block.text for block in blocks if block.kind == "text" or is_date(block.text)]
    return without_footer([Block(None, _LABEL.sub("", text, count=1)) for text in texts])


@dataclass(frozen=True, slots=True)
class _Section:
    """A heading and the abstracts below it; consecutive long paragraphs form one abstract."""

    kind: str
    heading: str
    abstracts: list[str]

    @property
    def texts(self) -> list[str]:
        """The title and the longest abstract; a shorter text is usually the venue of the paper."""
        return [self.heading, *sorted(self.abstracts, key=len)[-1:]]


def _sections(blocks: Sequence[MarkupBlock]) -> list[_Section]:
    sections: list[_Section] = []
    continues = False
    for kind, text in blocks:
        if is_date(text):
            continue
        if kind != "text":
            sections.append(_Section(kind, text, []))
        elif sections and is_abstract(text):
            abstracts = sections[-1].abstracts
            if continues and _is_long(text):
                abstracts[-1] += " " + text
            else:
                abstracts.append(text)
        continues = kind == "text" and _is_long(text)
    return sections


def _kind_of_titles(sections: Sequence[_Section]) -> str | None:
    """Return the kind of the headings above most abstracts; None if titles are not headings."""
    above = Counter(section.kind for section in sections if section.abstracts)
    kind = max(above, key=above.__getitem__, default=None)
    of_kind = (section.abstracts for section in sections if section.kind == kind)
    # A heading above several separate abstracts is the heading of a section, not a title.
    return None if any(sum(map(_is_long, each)) > 1 for each in of_kind) else kind


def _is_long(text: str) -> bool:
    return len(text.split()) >= MIN_ABSTRACT
