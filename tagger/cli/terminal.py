"""Text for a terminal: what others wrote is shown, and never obeyed.

Control sequences in a title could change the window's title, write to the clipboard (OSC 52), hide
a link (OSC 8) or turn a line round. Everything that is printed goes through here or through
:class:`tagger.cli.console.Console`, where such characters are written out as escapes.
"""

from __future__ import annotations

import re

import typer

# Control characters of both sets but for line breaks and tabs; what directs text; invisible tags;
# separators that break lines in some places only; halves of surrogate pairs, no characters.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ud800-\udfff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    r"""Return text with what a terminal could obey written out: ``\x1b``, ``\u202e``."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def json_printable(text: str) -> str:
    r"""Return JSON with the same characters written out as JSON does: ``\u001b``."""
    return _UNSAFE.sub(_json_escape, text)


def echo(text: str, *, err: bool = False) -> None:
    """Print a line, or several, on standard output or standard error."""
    typer.echo(printable(text), err=err)


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))
