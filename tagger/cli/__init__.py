"""The command line: parse, call one function, print."""

from __future__ import annotations

import errno
import logging
import os
import sys
from typing import Annotated

import typer

from tagger import __version__
from tagger.cli import labels, review, taxonomy, versions
from tagger.cli.bakeoff import bakeoff
from tagger.cli.discover import discover
from tagger.cli.explain import explain
from tagger.cli.init import init
from tagger.cli.output import complain, warn
from tagger.cli.report import report
from tagger.cli.tag import tag
from tagger.cli.terminal import echo
from tagger.cli.train import train
from tagger.errors import TaggerError

# Threads of PyTorch that wait for one another spin long by default, and on a busy machine take the
# processors from those they wait for: it takes twice the time. Read when PyTorch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

TAG_NEW = "Daily use 1: tag new digests"
REVIEW = "Daily use 2: review what the model is unsure of"
COMPARE = "Daily use 3: train on your labels, compare the versions, promote the better"
OWN_TAXONOMY = "A taxonomy of your own"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(rich_help_panel=TAG_NEW)(tag)
app.command(rich_help_panel=TAG_NEW)(explain)
app.command(rich_help_panel=TAG_NEW)(report)
app.add_typer(review.app, name="review", rich_help_panel=REVIEW)
app.add_typer(labels.app, name="labels", rich_help_panel=REVIEW)
app.add_typer(taxonomy.app, name="taxonomy", rich_help_panel=REVIEW)
app.command(rich_help_panel=COMPARE)(train)
app.command(rich_help_panel=COMPARE)(versions.compare)
app.command(rich_help_panel=COMPARE)(versions.promote)
app.command(rich_help_panel=COMPARE)(versions.rollback)
app.command(rich_help_panel=COMPARE)(versions.history)
app.command(rich_help_panel=COMPARE)(bakeoff)
app.command(rich_help_panel=OWN_TAXONOMY)(init)
app.command(rich_help_panel=OWN_TAXONOMY)(discover)


def _print_version(wanted: bool) -> None:
    if wanted:
        echo(f"tagger {__version__}")
        raise typer.Exit


@app.callback()
def _tour(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and leave.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Tag papers by what they contribute and what they are about.

    A day with tagger:

    [bold]1. A digest arrives.[/bold] Every paper on it gets its tags, and a confidence to
    believe:

        tagger tag digest.txt --output tagged

        tagger report tagged

    [bold]2. Some papers are doubtful.[/bold] Send them to Label Studio, correct them in the
    browser, bring the corrections home:

        tagger review serve

        tagger review push digest.txt --budget 20

        tagger review pull

    [bold]3. A better model.[/bold] Train on all labels, set it beside the one in use, and use it
    if it is better:

        tagger train

        tagger compare

        tagger promote
    """


_NO_ROOM = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
)


class _Notices(logging.Handler):
    """Prints what the library has to say, such as that it waits, on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


def main() -> None:
    """Run the command line; a :class:`TaggerError` is one line and exit code 2.

    So is a disk that is full or read-only, whichever library finds out.
    """
    logger = logging.getLogger("tagger")
    logger.addHandler(_Notices())
    logger.propagate = False
    try:
        app(prog_name="tagger")
    except TaggerError as error:
        complain(error)
    except OSError as error:
        # Without a file: a write to what is open already, or no folder for temporary files.
        if error.errno not in _NO_ROOM and not (error.errno == errno.ENOENT and not error.filename):
            raise
        from tagger.atomic import cannot_write

        complain(cannot_write(error.filename, error))
    else:
        return
    sys.exit(2)
