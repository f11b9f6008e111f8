"""``tagger tag``: tag the papers of digests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tagger.cli import options, output
from tagger.errors import TaggerError, shown

if TYPE_CHECKING:
    from tagger.cli.console import Console
    from tagger.model import TaggerModel
    from tagger.papers import Paper, PaperCollection, TaggedPaper
    from tagger.tagging import Addition, Arrivals, RayEngine, TagRun

_DEFAULT_FOLDER = Path("tagged")
_ROOM = 40
"""Characters that a table needs for titles and reasons; a narrower window shows a list instead."""
_SHOWN_GROUPS, _SHOWN_TITLES = 5, 4
"""Maximum numbers of groups of near duplicates, and of titles in a group, that are printed."""

Files = Annotated[
    list[str],
    typer.Argument(
        help="Files with papers, or their addresses on the web: digest pages, libraries, tables, "
        "feeds, e-mails; - is standard input."
    ),
]
OutputFolder = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder for the results; by default 'tagged'.")
]
Into = Annotated[
    Path | None,
    typer.Option(
        metavar="LIBRARY",
        help="Add the papers to a library, a file that grows, instead of writing to a folder. "
        "Papers that it has are skipped.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="DATE",
        help="Leave out papers from before a day, 2026-11-03 or 7d (ago); undated ones are kept.",
    ),
]
Day = Annotated[
    datetime | None,
    typer.Option(
        "--date", formats=["%Y-%m-%d"], help="With --into: the day of the addition, not today."
    ),
]
Show = Annotated[
    int, typer.Option(min=0, help="Largest number of papers to print; the files hold all.")
]
EngineName = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Tag in this program, or with workers of Ray, for tables of any size."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="With ray: number of workers; by default one per core.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="With ray: the cluster (auto, host:port); by default only this machine.",
    ),
]
Device = Annotated[
    Literal["cpu", "cuda", "auto"],
    typer.Option(help="With ray: where texts are encoded; auto uses a GPU if there is one."),
]


def tag(
    files: Files,
    folder: OutputFolder = None,
    into: Into = None,
    since: Since = None,
    day: Day = None,
    model: options.Model = "champion",
    effort: options.Effort = "full",
    min_confidence: options.MinConfidence = 0.6,
    target_precision: options.TargetPrecision = None,
    write: options.Write = None,
    replace: options.Replace = False,
    no_abstracts: options.NoAbstracts = False,
    format_name: options.FormatName = None,
    column: options.Columns = None,
    show: Show = 25,
    engine: EngineName = "local",
    workers: Workers = None,
    cluster: Cluster = None,
    device: Device = "cpu",
    as_json: options.Json = False,
) -> None:
    """Tag every paper of one or more files: digests, libraries, tables, feeds, e-mails, web pages.

    It writes tags.jsonl, tags.csv, abstracts.jsonl, near_duplicates.jsonl and manifest.json to the
    output folder, and each BibTeX, RIS or CSL JSON file with the tags among its keywords. Papers
    that cannot be read are listed in problems.jsonl, all others are tagged, and the exit code is
    then 2. After a failure, the same command continues where it stopped. Results of other papers
    are replaced only with --replace. Files may be folders, patterns, URLs of storage, and addresses
    of the web, which are requested once.

    With --into, the papers are added to a library instead, which 'tagger report' and 'tagger
    library' read.

    With --target-precision 0.95, at least 95 in 100 accepted tags are right, with 90% certainty,
    tested on the papers of your audit sample. With --engine ray, many workers tag files of any
    size.

    Example: tagger tag monday.txt tuesday.txt --output tagged
    """
    from tagger.tagging import check_output, read_for_run, tag_papers, work_on_library

    _check_options(into, day, folder=folder, write=write, engine=engine)
    with ExitStack() as held:
        place = held.enter_context(work_on_library(into)) if into else folder or _DEFAULT_FOLDER
        check_output(place, write or [], [Path(file) for file in files])
        chosen, load = held.enter_context(_engine(engine, model, place, workers, cluster, device))
        first = output.parse_since(since)
        collect = partial(read_for_run, folder=place, engine=chosen, since=first)
        read, problems = output.collect_pages(files, format_name, column, collect)
        if not (read.papers or into):
            output.echo("No papers, so nothing was written")
            return
        papers, arrivals = _papers_to_tag(read, into, place, replace=replace)
        loaded = load(papers).at_effort(effort)
        if model == "champion":
            _warn_of_other_tags(loaded)
        rule, target = output.review_rule(loaded, min_confidence, target_precision)
        with output.progress() as step:
            run = tag_papers(
                papers,
                loaded,
                place,
                rule,
                read=None if into else read,
                problems=problems,
                formats=write or [],
                parts=bool(chosen) and not write,
                abstracts=not (into or no_abstracts),
                engine=chosen,
                progress=step,
            )
        addition = None
        if arrivals:
            on = day and day.date()
            addition = arrivals.add(run, loaded.taxonomy, on, abstracts=not no_abstracts)
        for warning in run.drift.warnings if run.drift else ():
            output.warn(f"{warning}; review some of them: tagger review push FILES")
        if as_json:
            content = _run_as_json(run, loaded.name, len(read.entries), problems)
            met = target and {
                "target_precision": target_precision,
                "expected_coverage": target.coverage,
                "shortfalls": target.shortfalls,
            }
            output.print_json(content | {"effort": effort, "target": met, "addition": addition})
        else:
            _print_tag_run(run, loaded, len(read.entries), show, addition)
    _record_drift(run, loaded.name, [file.source.name for file in read.files])
    if run.problems:
        raise typer.Exit(2)


def _check_options(into: Path | None, day: datetime | None, **others: object) -> None:
    if day and not into:
        raise TaggerError("--date needs --into")
    given = [name for name, value in others.items() if value not in (None, "local")]
    if into and given:
        names = "--output" if given[0] == "folder" else f"--{given[0]}"
        hint = "Write what the library has with 'tagger library export'"
        raise TaggerError(f"--into cannot be combined with {names}", hint=hint)


def _papers_to_tag(
    read: PaperCollection, into: Path | None, folder: Path, *, replace: bool
) -> tuple[Sequence[Paper], Arrivals | None]:
    from tagger.tagging import Arrivals, check_no_loss

    if into:
        arrivals = Arrivals.at(into, read.papers)
        return arrivals.new, arrivals
    if not replace:
        hint = "Choose another --output, collect them --into a library, or --replace them"
        check_no_loss(folder, read.papers, hint)
    return read.papers, None


_Loader = Callable[["Sequence[Paper]"], "TaggerModel"]


@contextmanager
def _engine(
    name: str, model: str, folder: Path, workers: int | None, cluster: str | None, device: str
) -> Iterator[tuple[RayEngine | None, _Loader]]:
    """Start the engine; return it, None for the local one, and a function that loads the model."""
    if name == "local":
        if workers or cluster or device != "cpu":
            raise TaggerError("--workers, --cluster and --device need --engine ray")
        yield None, partial(output.load_model_named, model)
        return
    from tagger._util.atomic import exclusively
    from tagger.model import default_cache, load_model
    from tagger.registry import find_model_folder
    from tagger.tagging import TAGS_FILE

    with output.needs_extra("scale"), TemporaryDirectory() as scratch:
        from tagger.tagging import RayEngine, device_of_cluster, ray_cluster

        found = find_model_folder(model, Path(scratch))
        # Two runs into one folder would mix the files that they have read.
        with ray_cluster(cluster, workers), exclusively(folder / TAGS_FILE):
            chosen = RayEngine(found.folder, workers, device_of_cluster(device))
            # With a cache, the encoder is not loaded here, where no text is encoded.
            yield chosen, lambda _papers: load_model(found.folder, found.name, default_cache())


def _warn_of_other_tags(model: TaggerModel) -> None:
    """Warn if the model has other facets or tags than the label folder of the workspace."""
    from tagger.taxonomy import TAXONOMY_FILE, load_taxonomy

    path = options.LABELS_FOLDER / TAXONOMY_FILE
    with suppress(TaggerError):  # the labels are not needed to tag
        if path.exists() and (problem := output.misfit(model, load_taxonomy(path))):
            output.warn(f"{path.parent}: {problem}. Train a version, or tag with --model labels")


def _run_as_json(
    run: TagRun, model: str, entries: int, failed: Sequence[TaggerError]
) -> dict[str, object]:
    values = {one.name: getattr(run, one.name) for one in fields(run)}
    return {
        "model": model,
        "files_failed": [str(problem) for problem in failed],
        "entries": entries,
        **{name: value for name, value in values.items() if isinstance(value, int)},
        "near_duplicates": len(run.near_duplicates),
        "problems": len(run.problems),
        "counts": run.counts,
        "drift": run.drift and {**run.drift.figures(), "warnings": run.drift.warnings},
        "output": [shown(path) for path in run.files],
    }


def _record_drift(run: TagRun, version: str, files: Sequence[str]) -> None:
    """Record the figures of a run of a registered version, after everything else is done."""
    if not run.drift or version.startswith("local/"):
        return
    from tagger.registry import Registry, record_tag_run

    try:
        record_tag_run(Registry().store, run.drift, version, files)
    except TaggerError as error:
        output.warn(f"the papers are tagged, but MLflow did not record the run: {error}")


def _print_tag_run(
    run: TagRun, model: TaggerModel, entries: int, show: int, addition: Addition | None
) -> None:
    from rich.text import Text

    from tagger.cli.console import Console
    from tagger.papers import group_near_duplicates
    from tagger.tagging import NEAR_DUPLICATES_FILE

    console = Console(highlight=False)
    if show and run.papers:
        _print_papers(console, run, model, show)
    for facet in model.taxonomy.facets:
        counts = ", ".join(f"{tag} {n}" for tag, n in run.counts[facet.name].most_common())
        console.print(Text.assemble((f"{facet.name}: ", "bold"), counts or "no tags"))
    groups = group_near_duplicates((addition or run).near_duplicates)
    for group in groups[:_SHOWN_GROUPS]:
        titles = [*group.titles.values()]
        if more := titles[_SHOWN_TITLES:]:
            titles[_SHOWN_TITLES:] = [f"{len(more)} more"]
        text = f"{' / '.join(titles)} ({group.similarity} alike)"
        console.print(Text.assemble(("versions of one study? ", "yellow"), text))
    if rest := groups[_SHOWN_GROUPS:]:
        place = "see the report" if addition else NEAR_DUPLICATES_FILE
        console.print(f"and {len(rest)} more such groups: {place}")
    if run.shards_before:
        console.print(f"shards: {run.shards}, of them tagged before: {run.shards_before}")
    if run.worker_deaths or run.failures:
        console.print(
            f"workers that died: {run.worker_deaths}, restarts of all workers: {run.failures}"
        )
    refused = f"{len(run.problems)} not tagged, " if run.problems else ""
    console.print(
        f"{entries} entries, {run.papers} papers, {refused}{run.to_review} to review, "
        f"tagged by {model.name}"
    )
    if addition:
        output.echo(
            f"Added to {addition.library}: {addition.new} papers; {addition.known} were in it, "
            f"and it has {addition.papers} now"
        )
    else:
        output.echo("Written: " + ", ".join(map(shown, run.files)))


def _print_papers(console: Console, run: TagRun, model: TaggerModel, show: int) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    def lines(paper: TaggedPaper, name: str) -> list[str]:
        confidence = paper.confidence[name]
        return [f"{tag} {confidence[tag]:.2f}" for tag in paper.tags[name]] or ["-"]

    names, papers = [facet.name for facet in model.taxonomy.facets], [*islice(run.tagged(), show)]
    widths = (max(len(one) for p in papers for one in (name, *lines(p, name))) for name in names)
    if sum(width + 3 for width in widths) + _ROOM > console.width:
        for paper in papers:
            console.print(Text(paper.title, "bold"))
            for name in names:
                console.print(f"  {name}: {', '.join(lines(paper, name))}")
            if paper.review:
                console.print(f"  to review: {paper.review.reason}")
    else:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
        table.add_column("paper", ratio=2)
        for name in names:
            table.add_column(name, no_wrap=True)
        table.add_column("review", ratio=1, min_width=16)
        for paper in papers:
            cells = ("\n".join(lines(paper, name)) for name in names)
            reason = paper.review.reason if paper.review else ""
            table.add_row(*map(Text, (paper.title, *cells, reason)))
        console.print(table)
    if run.papers > show:
        console.print(f"and {run.papers - show} more")
