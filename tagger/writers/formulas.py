"""Which texts a spreadsheet would take for a formula."""

from __future__ import annotations

# OWASP, "CSV Injection": also the full-width forms, and what stands behind white space.
_BEGINNINGS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_WHITE_SPACE = ("\t", "\r", "\n")


def is_formula(text: str) -> bool:
    """Tell whether a spreadsheet may calculate a cell that holds ``text``."""
    return text.startswith(_WHITE_SPACE) or text.lstrip().startswith(_BEGINNINGS)
