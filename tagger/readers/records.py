"""How a record of any format becomes a paper."""

from __future__ import annotations

import re

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.cleaning import clean_marked_up_text
from tagger.readers.source import Source

# PubMed's stand-in for a title that is not known in English.
_NO_TITLE = re.compile(r"\[not available\]\.?", re.IGNORECASE)
# Stand-ins of PubMed, Scopus, Web of Science, and of exports for an empty cell.
_NO_ABSTRACT = re.compile(
    r"\W*+(?:(?:there is )?no abstract(?: (?:is |was )?(?:available|provided|supplied|found))?"
    r"|abstract (?:is |was )?(?:not (?:available|provided|supplied|found)|unavailable|missing)"
    r"|not available|n/?a|none|null|nan)?\W*",
    re.IGNORECASE,
)


def make_paper(
    source: Source,
    line: int | None,
    titles: list[str],
    abstracts: list[str],
    identifiers: tuple[str, ...] = (),
) -> Paper | TaggerError:
    """Return the paper of a record, or the error that says why it is none.

    The ``line`` may be the number of the record. Of titles and abstracts, the first that says
    something is taken. Identifiers are in the form of :mod:`tagger.readers.identifiers`.
    """
    title = _first(titles, _NO_TITLE)
    if not title:
        return TaggerError(
            "there is no title here",
            line=line,
            hint="Every paper needs one: fill it in, or take the record out",
        )
    abstract = _first(abstracts, _NO_ABSTRACT)
    return Paper(title, abstract, (source.name,), identifiers=identifiers)


def _first(texts: list[str], stand_in: re.Pattern[str]) -> str:
    cleaned = map(clean_marked_up_text, texts)
    return next((text for text in cleaned if text and not stand_in.fullmatch(text)), "")
