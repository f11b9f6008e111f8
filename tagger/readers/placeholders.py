"""What databases write where a record has no title or no abstract."""

from __future__ import annotations

import re

_NO_TITLE = re.compile(r"\[not available\]\.?", re.IGNORECASE)
# PubMed, Scopus, Web of Science, and what exports of tables put into an empty cell.
_NO_ABSTRACT = re.compile(
    r"\W*+(?:(?:there is )?no abstract(?: (?:is |was )?(?:available|provided|supplied|found))?"
    r"|abstract (?:is |was )?(?:not (?:available|provided|supplied|found)|unavailable|missing)"
    r"|not available|n/?a|none|null|nan)?\W*",
    re.IGNORECASE,
)


def is_no_title(text: str) -> bool:
    """Tell PubMed's stand-in for a title that is not known in English."""
    return _NO_TITLE.fullmatch(text) is not None


def is_no_abstract(text: str) -> bool:
    """Tell a stand-in for an abstract, such as Scopus's ``[No abstract available]``."""
    return _NO_ABSTRACT.fullmatch(text) is not None
