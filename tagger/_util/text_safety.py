"""Make untrusted text safe to display in a terminal, in Markdown and in a spreadsheet."""

from __future__ import annotations

import re

# Control characters except line breaks and tabs; invisible characters and bidirectional overrides;
# line and paragraph separators; lone surrogates, which JSON can express but UTF-8 cannot;
# noncharacters; tag characters (Unicode, 23.9).
UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ud800-\udfff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
_MARKDOWN = re.compile(r"[\\`*_\[\]|#!]")
_HTML = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("~"): "&#126;"}
# OWASP, "CSV Injection": includes full-width forms, and signs after white space.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def printable(text: str) -> str:
    r"""Escape the characters that could control a terminal: ``\x1b``, ``\u202e``."""
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def json_printable(text: str) -> str:
    r"""Escape the same characters in a JSON text with JSON's own escapes: ``\u001b``."""
    return UNSAFE.sub(_json_escape, text)


def as_markdown(text: str) -> str:
    """Return one line of Markdown that displays ``text`` literally."""
    line = " ".join(text.split())
    # CommonMark, 2.4: a backslash makes punctuation literal. Not all renderers apply this to
    # HTML and '~', so these become character references.
    return _MARKDOWN.sub(lambda found: "\\" + found[0], line).translate(_HTML)


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet may interpret a cell with ``text`` as a formula."""
    return _FORMULA.match(text) is not None


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))
