"""Reader for saved web pages and newsletters in HTML: titles with their abstracts.

A page is turned into the blocks of a digest page, and read by the rules for those. Where titles
are headings, what stands between a title and its abstract (authors, links) is passed over, and so
is what stands above the first title.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.digest import Block, is_abstract, is_date, papers_of, without_footer
from tagger.readers.markup import MarkupBlock, blocks_of_markup, root_element
from tagger.readers.source import Source

_LABEL = re.compile(r"(?:title|abstract)\s*:\s*", re.IGNORECASE)


def is_html(source: Source) -> bool:
    """Tell a web page by its document type or its first element."""
    return root_element(source.head) in ("html", "head", "body")


def read_html(source: Source) -> list[Paper]:
    """Read the papers of a saved web page, in order and with repeats.

    Raises
    ------
    TaggerError
        If the page holds no paper, a title has no abstract, or an abstract has no title.
    """
    try:
        markup: str | bytes = source.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # The page says which encoding it is in.
        markup = source.data
    try:
        blocks = digest_blocks(markup)
    except (ValueError, AssertionError, RecursionError, LookupError) as error:
        raise TaggerError(
            f"is no HTML that can be read ({' '.join(str(error).split())})", path=source.path
        ) from error
    return papers_of(blocks, source)


def digest_blocks(markup: str | bytes) -> Sequence[Block]:
    """Return the blocks of a digest page that is written in HTML."""
    blocks = blocks_of_markup(markup)
    kind = _kind_of_titles(blocks)
    chosen = _under_titles(blocks, kind) if kind else [block.text for block in blocks]
    return without_footer([Block(None, _LABEL.sub("", text, count=1)) for text in chosen])


def _kind_of_titles(blocks: Sequence[MarkupBlock]) -> str | None:
    """Return the kind of heading that most abstracts stand under; None if titles are no headings.

    Where some abstract stands under no heading at all, or there are several under one, headings
    are those of sections.
    """
    above: Counter[str] = Counter()
    heading = None
    for block in blocks:
        if block.kind != "text":
            heading = None if is_date(block.text) else block.kind
        elif heading and is_abstract(block.text):
            above[heading] += 1
            heading = None
    return above.most_common(1)[0][0] if above else None


def _under_titles(blocks: Sequence[MarkupBlock], kind: str) -> Iterator[str]:
    open_title = False
    for block in blocks:
        if block.kind == kind or is_date(block.text):
            yield block.text
            open_title = not is_date(block.text)
        elif open_title and is_abstract(block.text):
            yield block.text
            open_title = False
