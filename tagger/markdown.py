"""Text put into Markdown stays text: no markup, no link, no cell of a table ends early."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"[\\`*_\[\]|#!]")
_HTML = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("~"): "&#126;"}


def as_markdown(text: str) -> str:
    """Return a text as one line of Markdown that shows just that text."""
    line = " ".join(text.split())
    # CommonMark, 2.4: a backslash makes punctuation literal; not every reader knows it of HTML, ~.
    return _SPECIAL.sub(lambda found: "\\" + found[0], line).translate(_HTML)
