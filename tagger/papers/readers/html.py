"""Reader for saved web pages and newsletters in HTML.

The page of one article gives one paper. Any other page is converted to the blocks of a digest page.
If the titles are headings, the text between a title and its abstract (authors, links) and the text
above the first title are skipped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile, pairwise

from tagger.errors import TaggerError
from tagger.papers.own_files import REPORT_TITLE
from tagger.papers.paper import Paper
from tagger.papers.readers.blocks import MIN_ABSTRACT, Block, count_words, is_abstract, is_date
from tagger.papers.readers.digest import Pair, Record, papers_of, papers_of_pairs
from tagger.papers.readers.identifiers import identifier_of_link, written_identifiers
from tagger.papers.readers.markup import LETTER, MarkupBlock, MarkupPage, read_markup, root_element
from tagger.papers.readers.page_parts import are_authors
from tagger.papers.readers.records import make_paper
from tagger.papers.readers.source import Source, parsing

_ONLY_LABEL = re.compile(r"(?:abstract|summary)\s*:?", re.IGNORECASE)
_LABEL = re.compile(
    r"(?:title|abstract)\s*:\s*|\[(?:PDF|HTML|BOOK|CITATION|B|C)\]\s*|^\d{1,3}[.)]\s+(?=\S)", re.I
)
_META_ABSTRACTS = ("citation_abstract", "dc.description", "dcterms.abstract")
_META_IDENTIFIERS = ("citation_doi", "citation_arxiv_id")
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_BELOW_TITLE = re.compile(r"^\s*[:.\u2013\u2014-]?(?:\s*\([^()]*\)[:.,]?)?\s*")
_MIN_TITLE = 3
"""Words; a link of fewer words, such as "Full text", is not a title."""


def recognise(source: Source) -> bool:
    return root_element(source.head) in ("html", "head", "body")


def read(source: Source) -> Iterator[Record]:
    """Yield the papers of a saved web page, and an error for each paragraph without a title."""
    if f"{REPORT_TITLE}</title>" in source.head:
        hint = "Tag the files that it was made from"
        raise TaggerError("is a report of tagger, not a list of papers", hint=hint)
    try:
        markup: str | bytes = source.data.decode(source.declared)
    except UnicodeDecodeError:
        # The encoding is declared in the page.
        markup = source.data
    return papers_of_markup(markup, source)


def papers_of_markup(markup: str | bytes, source: Source) -> Iterator[Record]:
    """Yield the papers of a page or an e-mail in HTML, as by :func:`.digest.papers_of`."""
    with parsing("HTML"):
        page = read_markup(markup)
    if page.metadata.get("citation_title"):
        return iter([_article(page, source)])
    blocks = [block for block in page.blocks if not _ONLY_LABEL.fullmatch(block.text)]
    sections = _sections(blocks)
    kind = _kind_of_titles(sections)
    if sum(map(_is_title, blocks)) > sum(section.heading.kind == kind for section in sections):
        # In alerts, such as those of PubMed, the titles are the links to the papers.
        kind = "title"
        sections = _sections(
            [block._replace(kind=kind) if _is_title(block) else block for block in blocks]
        )
    # In a list below one heading, the items have titles of their own.
    pairs = pairwise([*blocks, MarkupBlock("text", "")])
    items = _sections([part for pair in pairs for part in _parts_of_item(*pair)])
    above = [each.heading for each in items if each.abstracts]
    titles = {heading.text for heading in above if heading.kind == "item"}
    headings = sum(each.heading.kind == kind for each in sections)
    if len(titles) > max(1, headings) and sum(heading.kind == kind for heading in above) < 2:
        kind, sections = "item", items
    if kind:
        return papers_of_pairs(
            [each.pair for each in sections if each.heading.kind == kind], source
        )
    texts = [_block(block) for block in blocks if block.kind == "text" or is_date(block.text)]
    return papers_of(texts, source)


def _article(page: MarkupPage, source: Source) -> Paper | TaggerError:
    """Return the paper of the page of an article, which names its parts for search engines.

    Without an abstract among them, that is the paragraph below a heading "Abstract" or the title.
    """
    about, pairs = page.metadata, pairwise(page.blocks)
    below = [text.text for label, text in pairs if _ONLY_LABEL.fullmatch(label.text)]
    titled = [each.pair for each in _sections(page.blocks)]
    below += [text.text for title, text in titled if text and title.text == about["citation_title"]]
    abstracts = [about.get(name, "") for name in _META_ABSTRACTS] + [*filter(_is_long, below)]
    identifiers = written_identifiers(" ".join(about.get(name, "") for name in _META_IDENTIFIERS))
    return make_paper(source, None, [about["citation_title"]], abstracts, identifiers)


def _block(block: MarkupBlock) -> Block:
    return Block(None, _LABEL.sub("", block.text, count=1), block.link)


@dataclass(frozen=True, slots=True)
class _Section:
    """A heading and the abstracts below it; consecutive long paragraphs form one abstract."""

    heading: MarkupBlock
    abstracts: list[MarkupBlock]

    @property
    def pair(self) -> Pair:
        """The title and the longest abstract; a shorter text is usually the venue of the paper."""
        marked = [block for block in self.abstracts if block.kind == "abstract"]
        longest = max(marked or self.abstracts, key=lambda block: len(block.text), default=None)
        return _block(self.heading), longest and _block(longest)


def _sections(blocks: Sequence[MarkupBlock]) -> list[_Section]:
    sections: list[_Section] = []
    continues = False
    has_marked = any(block.kind == "abstract" for block in blocks)
    for block in blocks:
        if is_date(block.text):
            continue
        is_text = block.kind in ("text", "abstract")
        if not is_text:
            sections.append(_Section(block, []))
        elif sections and (block.kind == "abstract" if has_marked else _is_abstract(block.text)):
            abstracts = sections[-1].abstracts
            if continues and _is_long(block.text) and abstracts:
                abstracts[-1] = abstracts[-1]._replace(text=f"{abstracts[-1].text} {block.text}")
            else:
                abstracts.append(block)
        continues = is_text and _is_long(block.text)
    return sections


def _is_abstract(text: str) -> bool:
    """Return whether a text is an abstract; a short text with a year is a venue."""
    return is_abstract(text) and (_is_long(text) or not _YEAR.search(text))


def _is_title(block: MarkupBlock) -> bool:
    """Return whether a block consists of a link to a paper and is as long as a title."""
    is_link = identifier_of_link(block.link) is not None and block.linked == block.text
    return is_link and len(block.text.split()) >= _MIN_TITLE and "://" not in block.text


def _parts_of_item(block: MarkupBlock, below: MarkupBlock) -> Sequence[MarkupBlock]:
    """Return the title of an item, a link or bold, and its text; of another block, itself."""
    is_link = len(block.linked.split()) >= _MIN_TITLE and block.text.startswith(block.linked)
    title = block.linked if is_link else block.bold
    if block.kind != "text" or len(title.split()) < _MIN_TITLE or title[-1] == ":":
        return [block]
    before, found, rest = block.lines[0].partition(title)
    lines = [_BELOW_TITLE.sub("", rest), *block.lines[1:]]
    text = " ".join(dropwhile(lambda line: not _is_long(line), lines)) or " ".join(lines).strip()
    if LETTER.search(before):  # links, such as "pdf"
        is_title = bool(found)
    elif _is_long(text):
        is_title = not text[0].islower()
    else:
        is_title = (len(lines) > 1 or are_authors(rest.strip(" (),"))) and _is_long(below.text)
    parts = [block._replace(kind="item", text=title), block._replace(text=text)]
    return parts if is_title and "://" not in title else [block]


def _kind_of_titles(sections: Sequence[_Section]) -> str | None:
    """Return the kind of the headings above most abstracts; None if titles are not headings."""
    above = Counter(section.heading.kind for section in sections if section.abstracts)
    kind = max(above, key=above.__getitem__, default=None)
    of_kind = (section.abstracts for section in sections if section.heading.kind == kind)
    # A heading above several separate abstracts is the heading of a section, not a title.
    several = (sum(_is_long(block.text) for block in each) > 1 for each in of_kind)
    return None if any(several) else kind


def _is_long(text: str) -> bool:
    return count_words(text) >= MIN_ABSTRACT
