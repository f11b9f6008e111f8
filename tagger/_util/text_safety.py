"""Text of others that a terminal, a page of Markdown or a spreadsheet shows, and never obeys."""

from __future__ import annotations

import re

# Control characters but for line breaks and tabs; what is not seen, or turns round what is;
# separators that break lines in some places only; halves of surrogate pairs, which JSON may hold
# and no file can be written with; code points that are no characters; tags (Unicode, 23.9).
UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ud800-\udfff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)
_MARKDOWN = re.compile(r"[\\`*_\[\]|#!]")
_HTML = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("~"): "&#126;"}
# OWASP, "CSV Injection": also the full-width forms, and what follows white space.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def printable(text: str) -> str:
    r"""Return text with what a terminal could obey written out: ``\x1b``, ``\u202e``."""
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def json_printable(text: str) -> str:
    r"""Return JSON with the same characters written out as JSON does: ``\u001b``."""
    return UNSAFE.sub(_json_escape, text)


def as_markdown(text: str) -> str:
    """Return a text as one line of Markdown that shows just that text."""
    line = " ".join(text.split())
    # CommonMark, 2.4: a backslash makes punctuation literal; not every reader knows it of HTML, ~.
    return _MARKDOWN.sub(lambda found: "\\" + found[0], line).translate(_HTML)


def is_formula(text: str) -> bool:
    """Tell whether a spreadsheet may calculate a cell that holds ``text``."""
    return _FORMULA.match(text) is not None


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))
