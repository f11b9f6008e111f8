"""``tagger review here``: review on a page that this machine serves to itself."""

from __future__ import annotations

import getpass
import os
import secrets
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import options, output

if TYPE_CHECKING:
    from fastapi import FastAPI

    from tagger.labels import LabelStore
    from tagger.review import FacetProgress, Goal, ReviewDesk

_CONFIDENCE = 0.95
_MORE = 20

PagePort = Annotated[
    int, typer.Option(min=0, max=65535, help="Port on this machine; 0: any free one.")
]
Annotator = Annotated[
    str | None,
    typer.Option(help="Your name in the labels, by default that of your account."),
]
Browser = Annotated[
    bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
]


def here(
    files: options.Files,
    labels: options.Labels = options.LABELS_FOLDER,
    model: options.Model = "champion",
    budget: options.Budget = 20,
    strategy: options.StrategyName = "uncertainty",
    audit: options.Audit = None,
    audit_share: options.AuditShare = 0.1,
    enough: options.Enough = None,
    min_confidence: options.MinConfidence = 0.6,
    target_precision: options.TargetPrecision = None,
    annotator: Annotator = None,
    port: PagePort = 0,
    browser: Browser = True,
    format_name: options.FormatName = None,
    column: options.Columns = None,
    as_json: options.Json = False,
) -> None:
    """Review papers on a page of this machine, without Label Studio.

    The papers are chosen as by 'tagger review push'. Enter accepts the tags that are shown, the
    key next to a tag changes it. Each answer is written to corrections.jsonl of the label folder at
    once. Ctrl+C ends the review; run the command again to continue with the remaining papers.

    Example: tagger review here monday.txt tuesday.txt --budget 20
    """
    from tagger.cli.review_status import exit_unless_enough, goal_lines, parse_goals
    from tagger.review import load_strategy

    chosen_by = load_strategy(strategy)  # an unknown one is refused before anything is read
    store = output.read_store(labels)
    goals = parse_goals(enough or [], _CONFIDENCE, store.taxonomy)
    _progress(store, goals)  # goals that cannot be measured are refused
    read, problems = output.collect_pages(files, format_name, column)
    with output.needs_extra("review"):
        from tagger.review import PushSettings, ReviewDesk, Selection, make_review_page, tasks_here
    loaded = output.load_model_for(store, model, read.papers)
    rule, _ = output.review_rule(loaded, min_confidence, target_precision)
    budget, audit_share = (audit, 1.0) if audit else (budget, audit_share)
    settings = PushSettings(
        budget, chosen_by, audit_share, rule=rule, doubtful_only=target_precision is not None
    )
    known = store.all_labels()
    with output.progress() as step:
        selection = Selection(loaded, tasks_here(known), rule, step)
        desk = ReviewDesk(
            selection.choose(output.papers_to_review(read), known, settings),
            store,
            annotator or _account(),
        )
    if desk.papers:
        token = secrets.token_urlsafe(24)
        page = make_review_page(desk, loaded, rule, token, lambda: _estimate(store, goals))
        _serve(page, port, token, browser)
    output.finish(desk.summary(), problems, as_json, partial(_print_summary, desk, store))
    progress = _progress(store, goals)
    for line in goal_lines(progress):
        output.echo(line, err=True)
    exit_unless_enough(progress)


def _account() -> str:
    with suppress(OSError, KeyError, ImportError):  # an account without a name
        return getpass.getuser()
    return "reviewer"


def _serve(page: FastAPI, port: int, token: str, browser: bool) -> None:
    from tagger.cli.backend import serve_until_interrupted
    from tagger.review import LOOPBACK

    def announce(port: int) -> None:
        address = f"http://{LOOPBACK[0]}:{port}/?token={token}"
        output.echo(f"Review: {address}", err=True)
        output.echo("Ctrl+C ends the review; answers are saved one by one.", err=True)
        # Without a window, a browser for terminals would take this one.
        windows = sys.platform in ("win32", "darwin")
        if browser and (windows or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            webbrowser.open(address)

    serve_until_interrupted(page, (LOOPBACK[0], port), announce)


def _progress(store: LabelStore, goals: Mapping[str, Goal]) -> Sequence[FacetProgress]:
    """Measure the champion on the labels as they are now; nothing without goals."""
    from tagger.cli.review_status import measure
    from tagger.labels import LabelStore

    if not goals:
        return ()
    with output.working("Measuring"):
        return measure(LabelStore(store.folder), "latest", goals, _MORE)[1]


def _estimate(store: LabelStore, goals: Mapping[str, Goal]) -> list[str]:
    """Return lines on the accuracy that the audit sample shows, and what more labels bring."""
    from tagger.cli.review_status import measure, progress_lines
    from tagger.labels import LabelStore
    from tagger.review import review_status

    fresh = LabelStore(store.folder)
    found = review_status([], fresh.all_labels(), fresh.taxonomy)
    version, progress = measure(fresh, "latest", goals, _MORE)
    lines = progress_lines(found, version, progress, _MORE)
    return lines or ["Not known yet: it is measured on papers sampled at random (--audit 50)."]


def _print_summary(desk: ReviewDesk, store: LabelStore) -> None:
    found = desk.summary()
    if not found["papers"]:
        output.echo("Nothing to review: the papers have labels already")
        return
    pace = f", {found['median_seconds']:.0f} s a paper" if found["median_seconds"] else ""
    output.echo(
        f"{found['answered']} of {found['papers']} papers answered ({found['audit']} of the audit "
        f"sample){pace}; they are in {store.folder / 'corrections.jsonl'}"
    )
