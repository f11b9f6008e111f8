"""``tagger zotero``: tags into a Zotero library, in place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import options, output
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from tagger.tagging import TagChange, ZoteroLibrary

app = typer.Typer(no_args_is_help=True, help="Write tags into a Zotero library.")

KEY_VARIABLE = "ZOTERO_API_KEY"
URL_VARIABLE = "ZOTERO_API_URL"
_CHANGED = 412
"""Status of an item that somebody changed after it was read."""

Place = Annotated[
    Path, typer.Argument(metavar="RESULTS", help="A folder of results, or the file of a library.")
]
Name = Annotated[
    str | None,
    typer.Option(
        "--library",
        metavar="users/ID",
        help="The Zotero library: users/ID or groups/ID; by default that of the key's owner.",
    ),
]
Apply = Annotated[bool, typer.Option("--apply", help="Write. By default changes are only shown.")]
Prefix = Annotated[
    str,
    typer.Option(
        envvar="TAGGER_ZOTERO_PREFIX",
        help="Text before each tag of tagger, if you have tags of your own such as 'domain: law'.",
    ),
]


@app.command()
def push(
    place: Place = Path("tagged"),
    library: Name = None,
    apply: Apply = False,
    prefix: Prefix = "",
    labels: options.ReviewedLabels = None,
    show: Annotated[int, typer.Option(min=0, help="Largest number of items to print.")] = 25,
    as_json: options.Json = False,
) -> None:
    """Give the items of a Zotero library their tags, such as 'contribution: survey'.

    Items are found by DOI, other identifiers and title. Other tags stay; tags of this form that
    the paper no longer has are removed. Without --apply nothing is written. An item that somebody
    changes meanwhile is left as it is, and the exit code is 1. The key is that of ZOTERO_API_KEY,
    or of the keyring.

    Example: tagger zotero push tagged --library users/12345 --apply
    """
    from tagger.report import reviewed_tags
    from tagger.tagging import plan_changes

    papers = reviewed_tags(place, labels)
    opened = _open(library)
    if not opened.may_write:
        problem = f"this key may not write to {opened.name}"
        hint = "Allow it, or make another key: https://www.zotero.org/settings/keys"
        if apply:
            raise TaggerError(problem, hint=hint)
        output.warn(f"{problem}. {hint}")
    with output.working(f"Reading {opened.name}"):
        changes, same = plan_changes(opened.items(), papers, prefix)
    sent, stopped = _write(opened, changes) if apply else ({}, None)
    problems = {key: reason for key, (code, reason) in sent.items() if code}
    counts = {"papers": len(papers), "found": len(changes) + same, "unchanged": same}
    if as_json:
        rows = [{**asdict(one), "written": sent.get(one.key, (1,))[0] == 0} for one in changes]
        more = {"problems": problems, "changes": rows}
        output.print_json({"library": opened.name, "applied": apply, **counts, **more})
    else:
        for one in changes[:show]:
            signs = [f"+{name}" for name in one.added] + [f"-{name}" for name in one.removed]
            output.echo(f"{one.title}: {', '.join(signs)}")
        done = f"{len(sent) - len(problems)} of {len(changes)} changed"
        output.echo(
            f"{opened.name}: {counts['found']} items are among {len(papers)} papers, {same} have "
            f"their tags, {done if apply else f'{len(changes)} would change; --apply writes'}"
        )
    for key, reason in problems.items():
        output.complain(TaggerError(f"was not written: {reason}", path=f"item {key}"))
    if stopped:
        raise stopped
    if problems:
        raise typer.Exit(1 if all(sent[key][0] == _CHANGED for key in problems) else 2)


def _open(name: str | None) -> ZoteroLibrary:
    from tagger._util.web import find_token
    from tagger.tagging import ZOTERO_URL, ZoteroLibrary

    url = os.environ.get(URL_VARIABLE) or ZOTERO_URL
    key = find_token(KEY_VARIABLE, url)
    if not key:
        hint = "Make a key at https://www.zotero.org/settings/keys"
        raise TaggerError(f"{KEY_VARIABLE} is not set", hint=hint)
    with output.needs_extra("zotero"):
        return ZoteroLibrary(key, name, url)


def _write(
    library: ZoteroLibrary, changes: Sequence[TagChange]
) -> tuple[dict[str, tuple[int, str]], TaggerError | None]:
    """Write changes; return status and reason of each item that was sent, and what stopped it."""
    sent: dict[str, tuple[int, str]] = {}
    try:
        with output.progress() as step:
            for one, code, reason in library.write(changes):
                sent[one.key] = code, reason
                step("Writing", len(sent), len(changes))
    except TaggerError as error:
        return sent, error
    return sent, None
