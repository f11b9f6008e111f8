"""``tagger report``: one page to look at what happened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tagger.cli import output
from tagger.errors import TaggerError


def report(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Result folders of 'tagger tag'; by default 'tagged'."),
    ] = None,
    file: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path(
        "report.html"
    ),
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            "-l",
            help="The label folder that tells what was reviewed; by default 'labels' if there is "
            "one.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The version whose figures are shown (7, champion, the id of a training run); by "
            "default the one that gave most of the tags.",
        ),
    ] = None,
    digest: Annotated[
        list[Path] | None,
        typer.Option("--digest", "-d", help="Pages to take abstracts from; repeatable."),
    ] = None,
    format_name: output.FormatOption = None,
    column: output.ColumnOption = None,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            help="Show the sentences that each tag hangs on; needs --digest, and a second or so "
            "for each paper.",
        ),
    ] = False,
    conflicts: output.ConflictsOption = "latest",
    label_studio: Annotated[
        str | None,
        typer.Option(
            envvar="LABEL_STUDIO_URL",
            help="Address of the Label Studio that the labels came from, to link its tasks.",
        ),
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Write a report: one HTML file to look through, filter, search and print.

    It shows the papers with tags and confidences, what waits for review and why, what people
    confirmed and corrected, counts over time, near duplicates, and how good the model version is
    that gave the tags. It opens without a network and holds all that it needs. A part that cannot
    be shown, for example because there is no MLflow, is named with the reason.

    Where a paper is in several folders, the run that wrote its results last counts.

    Example: tagger report tagged --output report.html --digest monday.txt
    """
    if file.suffix.lower() not in (".html", ".htm"):
        # So that a slip of the hand replaces no results.
        hint = "Name a file that ends in .html with --output"
        raise TaggerError("a report is HTML", path=file, hint=hint)
    if label_studio and not label_studio.startswith(("http://", "https://")):
        hint = "It begins with http:// or https://"
        raise TaggerError(f"'{label_studio}' is no address of a server", hint=hint)
    if evidence and not digest:
        hint = "Name the pages with --digest, once for each"
        raise TaggerError("--evidence needs the abstracts", hint=hint)
    from tagger._util.atomic import replacing
    from tagger.report import build_report, report_page

    usual = Path("labels")
    pages, problems = output.read_pages(digest, format_name, column) if digest else ([], [])
    with output.progress() as step:
        found = build_report(
            folders or [Path("tagged")],
            labels or (usual if usual.is_dir() else None),
            pages,
            model=model,
            evidence=evidence,
            conflicts=conflicts,
            label_studio=label_studio,
            progress=step,
        )
    with replacing(file) as opened:
        opened.write(report_page(found))
    if as_json:
        unread = [str(problem) for problem in problems]
        output.print_json({"output": str(file), **found.as_dict(), "files_failed": unread})
    else:
        flow = found.flow
        for part in found.left_out:
            output.echo(f"Left out: {part.part} ({part.reason})")
        output.echo(
            f"{flow.papers} papers, {flow.waiting} to review, {flow.reviewed} reviewed, "
            f"{flow.corrected} corrected"
        )
        output.echo(f"Written: {file}")
    if problems:
        raise typer.Exit(2)
