"""``tagger report``: one page to look at what happened."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli.output import (
    ColumnOption,
    ConflictsOption,
    FormatOption,
    JsonOption,
    load_model_named,
    open_registry,
    print_json,
    progress,
    read_pages,
    working,
)
from tagger.cli.terminal import echo
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from tagger.explanation import Explanation
    from tagger.paper import Paper
    from tagger.report.figures import ModelFigures
    from tagger.report.results import ResultFolder

_LABELS = Path("labels")
_FOLDERS = [Path("tagged")]


def report(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDERS]...",
            help="Result folders of 'tagger tag'; by default 'tagged'.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path(
        "report.html"
    ),
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            "-l",
            help="The label folder that tells what was reviewed; by default 'labels' if there is "
            "one.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The version whose figures are shown (7, champion, the id of a training run); by "
            "default the one that gave most of the tags.",
            show_default=False,
        ),
    ] = None,
    digest: Annotated[
        list[Path] | None,
        typer.Option("--digest", "-d", help="Pages to take abstracts from; repeatable."),
    ] = None,
    format_name: FormatOption = None,
    column: ColumnOption = None,
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            help="Show the sentences that each tag hangs on; needs --digest, and a second or so "
            "for each paper.",
        ),
    ] = False,
    conflicts: ConflictsOption = "latest",
    label_studio: Annotated[
        str | None,
        typer.Option(
            envvar="LABEL_STUDIO_URL",
            help="Address of the Label Studio that the labels came from, to link its tasks.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a report: one HTML file to look through, filter, search and print.

    It shows the papers with tags and confidences, what waits for review and why, what people
    confirmed and corrected, counts over time, near duplicates, and how good the model version is
    that gave the tags. It opens without a network and holds all that it needs. A part that cannot
    be shown, for example because there is no MLflow, is named with the reason.

    Where a paper is in several folders, the run that wrote its results last counts.

    Example: tagger report tagged --output report.html --digest monday.txt
    """
    from tagger.atomic import replacing
    from tagger.labels import LabelStore
    from tagger.paper import KnownPapers
    from tagger.report.page import LeftOut, Report, report_page
    from tagger.report.papers import gather_near_duplicates, gather_papers, task_address
    from tagger.report.results import in_todays_terms, read_result_folder

    if output.suffix.lower() not in (".html", ".htm"):
        # So that a slip of the hand replaces no results.
        raise TaggerError(
            "a report is HTML", path=output, hint="Name a file that ends in .html with --output"
        )
    if label_studio and not label_studio.startswith(("http://", "https://")):
        raise TaggerError(
            f"'{label_studio}' is no address of a server", hint="It begins with http:// or https://"
        )
    results = [read_result_folder(folder) for folder in dict.fromkeys(folders or _FOLDERS)]
    store = LabelStore(labels or _LABELS) if labels or _LABELS.is_dir() else None
    if store:
        results = [in_todays_terms(result, store.taxonomy) for result in results]
    if evidence and not digest:
        raise TaggerError(
            "--evidence needs the abstracts", hint="Name the pages with --digest, once for each"
        )
    pages, problems = read_pages(digest, format_name, column) if digest else ([], [])
    labelled = store.all_labels() if store else []
    name = model or _commonest_model(results)
    left_out = []
    if store is None:
        left_out.append(LeftOut("what people said", f"there is no label folder '{_LABELS}'"))
    figures, missing = _read_figures(name, asked_for=model is not None)
    if missing:
        left_out.append(LeftOut(f"how good {name} is", missing))
    tagged = KnownPapers(paper.paper for folder in results for paper in folder.papers)
    pages = [paper for paper in pages if paper in tagged]
    papers = gather_papers(
        results,
        labelled,
        conflicts,
        pages,
        _explain(pages, name) if evidence else {},
    )
    without = sum(not paper.abstract for paper in papers)
    if without:
        reason = f"{without} of {len(papers)} papers stand on no page named with --digest"
        left_out.append(LeftOut("abstracts", reason))
    projects = {label.origin.project for label in labelled if label.origin}
    addresses = {
        paper.tagged.id: task_address(paper.answer.origin, projects, label_studio)
        for paper in papers
        if label_studio and paper.answer and paper.answer.origin
    }
    found = Report(
        created=datetime.now(UTC),
        folders=tuple(results),
        papers=tuple(papers),
        near_duplicates=tuple(gather_near_duplicates(results)),
        taxonomy=store.taxonomy if store else None,
        figures=figures,
        task_addresses={name: address for name, address in addresses.items() if address},
        left_out=tuple(left_out),
    )
    page = report_page(found)
    with replacing(output) as file:
        file.write(page)
    if as_json:
        unread = [str(problem) for problem in problems]
        print_json({"output": str(output), **found.as_dict(), "files_failed": unread})
    else:
        flow = found.flow
        for part in found.left_out:
            echo(f"Left out: {part.part} ({part.reason})")
        echo(
            f"{flow.papers} papers, {flow.waiting} to review, {flow.reviewed} reviewed, "
            f"{flow.corrected} corrected"
        )
        echo(f"Written: {output}")
    if problems:
        raise typer.Exit(2)


def _commonest_model(results: list[ResultFolder]) -> str:
    """Return the model that gave most of the tags."""
    names = Counter(paper.model for folder in results for paper in folder.papers)
    return names.most_common(1)[0][0]


def _read_figures(model: str, *, asked_for: bool) -> tuple[ModelFigures | None, str | None]:
    """Return the figures of a version, or why there are none, unless the user asked for them."""
    from tagger.registry import Registry

    if model.startswith("local/") or Path(model).is_dir():
        return None, "a model folder keeps no figures; name a version with --model"
    try:
        if not Registry().store.exists:
            raise TaggerError(
                "there is no MLflow store here", hint="Give the command where 'mlruns' is"
            )
        registry = open_registry()
        from tagger.report.figures import read_figures

        with working("Reading the figures of the model"):
            return read_figures(registry, registry.find(model)), None
    except TaggerError as error:
        if asked_for:
            raise
        return None, error.problem


def _explain(pages: list[Paper], model: str) -> dict[str, Explanation]:
    from tagger.decision import ReviewRule
    from tagger.explanation import explain

    loaded = load_model_named(model, pages)
    found = {}
    with progress() as step:
        for done, paper in enumerate(pages, start=1):
            found[paper.id] = explain(paper, loaded, ReviewRule())
            step("Leaving out sentences", done, len(pages))
    return found
