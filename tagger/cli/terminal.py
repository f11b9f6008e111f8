"""Print lines in which a terminal finds nothing to obey.

Control sequences in a title could change the window's title, write to the clipboard (OSC 52), hide
a link (OSC 8) or reverse a line. All output goes through here or through
:class:`tagger.cli.console.Console`.
"""

from __future__ import annotations

import typer

from tagger.text_safety import printable


def echo(text: str, *, err: bool = False) -> None:
    """Print a line, or several, on standard output or standard error."""
    typer.echo(printable(text), err=err)
