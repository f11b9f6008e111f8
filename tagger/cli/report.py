"""``tagger report``: one page to look at what happened."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import options, output
from tagger.errors import TaggerError, without_password

if TYPE_CHECKING:
    from tagger.report import Report

Folders = Annotated[
    list[Path] | None,
    typer.Argument(help="Result folders of 'tagger tag', or one library; by default 'tagged'."),
]
ReportFile = Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")]
ShownModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="The version whose figures are shown (7, champion, the id of a training run). By "
        "default the version that assigned most of the tags.",
    ),
]
Evidence = Annotated[
    bool,
    typer.Option(
        "--evidence",
        help="Show the sentences behind each tag. Needs the abstracts, and about a second for each "
        "paper.",
    ),
]
NoAbstracts = Annotated[
    bool, typer.Option("--no-abstracts", help="Leave abstracts out, to pass the report on.")
]
Weeks = Annotated[
    int | None,
    typer.Option(
        min=1, help="Of a library, the number of weeks whose papers are listed; by default 1."
    ),
]
LabelStudio = Annotated[
    str | None,
    typer.Option(
        envvar="LABEL_STUDIO_URL",
        help="Address of the Label Studio that the labels came from, for links to its tasks.",
    ),
]


def report(
    folders: Folders = None,
    file: ReportFile = Path("report.html"),
    labels: options.ReviewedLabels = None,
    model: ShownModel = None,
    digest: options.Digests = None,
    format_name: options.FormatName = None,
    column: options.Columns = None,
    evidence: Evidence = False,
    no_abstracts: NoAbstracts = False,
    weeks: Weeks = None,
    conflicts: options.Conflicts = "latest",
    label_studio: LabelStudio = None,
    as_json: options.Json = False,
) -> None:
    """Write a report: one HTML file to look through, filter, search and print.

    It shows the papers with tags and confidences, which of them wait for review and why, what
    reviewers confirmed and corrected, counts over time, near duplicates, and the figures of the
    model version. It opens without a network. A part that cannot be shown, for example because
    MLflow is missing, is named with the reason. Abstracts are those that 'tagger tag' kept with
    the results, and those of --digest.

    If a paper is in several folders, the latest run counts. The report of a library opens on the
    last week with additions: new papers, the weeks before, tags that rise, what waits for review.

    Example: tagger report tagged --output report.html
    """
    places = folders or [Path("tagged")]
    _check_options(file, label_studio, places, weeks)
    if evidence and no_abstracts:
        hint = "Leave one of them out"
        raise TaggerError("--evidence shows sentences that --no-abstracts leaves out", hint=hint)
    from tagger._util.atomic import replacing
    from tagger.report import build_report, report_page

    papers, problems = output.read_pages(digest, format_name, column) if digest else ([], [])
    with output.progress() as step:
        found = build_report(
            places,
            labels,
            papers,
            model=model,
            evidence=evidence,
            abstracts=not no_abstracts,
            weeks=weeks or 1,
            conflicts=conflicts,
            # The report is for others, too.
            label_studio=label_studio and without_password(label_studio),
            progress=step,
        )
    with replacing(file) as opened:
        opened.write(report_page(found, options.naming(labels) if labels else ""))
    content = {"output": str(file), **found.as_dict()}
    output.finish(content, problems, as_json, partial(_print_summary, found, file))


def _check_options(
    file: Path, label_studio: str | None, places: list[Path], weeks: int | None
) -> None:
    # A mistyped --output must not replace a file of results.
    if file.suffix.lower() not in (".html", ".htm"):
        hint = "Name a file that ends in .html with --output"
        raise TaggerError("a report is an HTML file", path=file, hint=hint)
    if label_studio and not label_studio.startswith(("http://", "https://")):
        hint = "The address begins with http:// or https://"
        raise TaggerError(f"'{label_studio}' is not the address of a server", hint=hint)
    folder = next((place for place in places if place.is_dir()), None)
    if weeks and folder:
        hint = "Name a library, a file that 'tagger tag --into' makes, or leave --weeks out"
        raise TaggerError("--weeks needs a library, not a result folder", path=folder, hint=hint)


def _print_summary(found: Report, file: Path) -> None:
    for part in found.left_out:
        output.echo(f"Left out: {part.part} ({part.reason})")
    flow = found.flow
    output.echo(
        f"{flow.papers} papers, {flow.waiting} to review, {flow.reviewed} reviewed, "
        f"{flow.corrected} corrected"
    )
    if found.figures and found.figures.unmarked:
        papers, right = found.figures.unmarked
        share = output.in_words(right)
        output.echo(f"{flow.not_marked} not marked; right of {papers} such audited papers: {share}")
    output.echo(f"Written: {file}")
