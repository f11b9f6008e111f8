"""The command line: parse, call one function, print."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
from collections.abc import Callable
from errno import EACCES, EDQUOT, EFBIG, EIO, ENOENT, ENOSPC, EPERM, EROFS
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tagger import __version__
from tagger.cli import labels, library, review, taxonomy, zotero
from tagger.cli.bakeoff import bakeoff
from tagger.cli.discover import discover
from tagger.cli.evaluate import evaluate
from tagger.cli.explain import explain
from tagger.cli.export import export
from tagger.cli.init import init
from tagger.cli.output import complain, echo, warn
from tagger.cli.report import report
from tagger.cli.tag import tag
from tagger.cli.train import train
from tagger.cli.ui import ui
from tagger.cli.versions import compare, history, promote, rollback
from tagger.errors import TaggerError

# By default, waiting threads of PyTorch spin for long, and on a busy machine they take the
# processors from the threads that they wait for. Read when PyTorch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_TAG = "Tag new papers"
_REVIEW = "Review papers, and look after labels and taxonomy"
_COMPARE = "Train on your labels, compare versions, promote the better one"
_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    _TAG: (tag, explain, report),
    _REVIEW: (),
    _COMPARE: (train, evaluate, compare, promote, rollback, history, ui, bakeoff, export),
    "Begin a taxonomy, and extend it": (init, discover),
}


class _InOrder(TyperGroup):
    """Lists the commands in the order of the daily uses: tag, review, train."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, panel by panel."""
        panels, commands = [*_COMMANDS], self.commands
        return sorted(
            commands, key=lambda one: panels.index(vars(commands[one])["rich_help_panel"])
        )

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an invalid value is described without the words of pydantic."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # Imported here: it loads pydantic, which the help does not need.
            from tagger._util.validation import VALUE_ERROR

            error.message = error.message.removeprefix(VALUE_ERROR)
            raise


app = typer.Typer(
    cls=_InOrder,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _panel, _commands in _COMMANDS.items():
    for _command in _commands:
        app.command(rich_help_panel=_panel)(_command)
app.add_typer(library.app, name="library", rich_help_panel=_TAG)
app.add_typer(zotero.app, name="zotero", rich_help_panel=_TAG)
app.add_typer(review.app, name="review", rich_help_panel=_REVIEW)
app.add_typer(labels.app, name="labels", rich_help_panel=_REVIEW)
app.add_typer(taxonomy.app, name="taxonomy", rich_help_panel=_REVIEW)


def _print_version(wanted: bool) -> None:
    if wanted:
        echo(f"tagger {__version__}")
        raise typer.Exit


@app.callback()
def _tour(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Tag papers by what they contribute and what they are about.

    A day with tagger:

    **1. A digest arrives.** Tag every paper, with a confidence for each tag:

        tagger tag digest.txt --output tagged
        tagger report tagged

    **2. The model is unsure of some papers.** Correct them in the browser:

        tagger review here digest.txt --budget 20

    In a team, send them to Label Studio, and bring the corrections home:

        tagger review serve
        tagger review push digest.txt --budget 20
        tagger review pull

    **3. A better model.** Train on all labels, compare the new version with the one
    in use, and use it if it is better:

        tagger train
        tagger compare
        tagger promote
    """


_NO_ROOM = (ENOSPC, EDQUOT, EFBIG, EIO, EROFS, EACCES, EPERM)


class _Notices(logging.Handler):
    """Print messages of the library, such as that it waits for a lock, on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            echo(record.getMessage(), err=True)
        else:
            warn(record.getMessage())


def main() -> None:
    """Run the command line; print a :class:`TaggerError` as one line, with exit code 2.

    A disk that is full or read-only is reported in the same way, whichever library fails.
    """
    logger = logging.getLogger("tagger")
    logger.addHandler(_Notices())
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        app(prog_name="tagger")
    except TaggerError as error:
        complain(error)
    except OSError as error:
        # Without a file name: a write to an open file, or no folder for temporary files.
        if error.errno not in _NO_ROOM and not (error.errno == ENOENT and not error.filename):
            raise
        from tagger._util.atomic import cannot_write

        complain(cannot_write(error.filename, error))
    else:
        return
    finally:
        # Ctrl+C while Python ends would print a traceback.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    sys.exit(2)
