"""``tagger tag``: tag the papers of digests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tagger.cli import output
from tagger.errors import TaggerError, shown

if TYPE_CHECKING:
    from tagger.model import Drift, Promise, TaggerModel
    from tagger.papers import Paper
    from tagger.tagging import RayEngine, TagRun

_COUNTED = (
    "rows",
    "papers",
    "merged",
    "to_review",
    "shards",
    "shards_before",
    "worker_deaths",
    "failures",
    "near_duplicates",
    "problems",
)


def tag(
    files: Annotated[
        list[str],
        typer.Argument(help="Digest pages, tables, feeds, mails, ...; - for standard input."),
    ],
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "tagged"
    ),
    model: output.ModelOption = "champion",
    effort: output.EffortOption = "full",
    min_confidence: output.MinConfidenceOption = 0.6,
    target_precision: output.TargetPrecisionOption = None,
    write: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Write the tags as parquet, excel or dataset, too; repeatable."
        ),
    ] = None,
    format_name: output.FormatOption = None,
    column: output.ColumnOption = None,
    show: Annotated[
        int, typer.Option(min=0, help="Print at most this many papers; the files hold all.")
    ] = 25,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="What tags: this program, or workers of Ray, for tables of any size."),
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="With ray: models at work; by default one a core.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With ray: a cluster (auto, host:port); by default this machine alone.",
        ),
    ] = None,
    device: Annotated[
        Literal["cpu", "cuda", "auto"],
        typer.Option(help="With ray: what encodes; auto takes a GPU if there is one."),
    ] = "cpu",
    as_json: output.JsonOption = False,
) -> None:
    """Tag every paper of one or more pages: digests, libraries, tables, feeds, mails, web pages.

    Writes tags.jsonl, tags.csv, near_duplicates.jsonl and manifest.json to the output folder, with
    --write other forms, and each BibTeX or RIS file anew, unchanged but for the tags among its
    keywords. The content of a file tells its format. A page or row that cannot be read is listed in
    problems.jsonl, and the others are tagged all the same; the exit code is then 2. A warning says
    if the papers are unlike those that the model was trained on; the figures are logged to MLflow.

    With --target-precision 0.95, as many tags are accepted as leave at most 5 in 100 wrong, judged
    by labelled papers that the model had not seen; a warning names the facets that have too few
    labels for that.

    Less --effort is faster. Confidences, warnings and promises are those of what was read: the less
    that is, the more papers are in doubt.

    Files may also be folders, patterns and URLs of object storage. Given again after any failure,
    the same command goes on where it stopped. With --engine ray, files of any size and number are
    tagged on many workers, and without --write into a folder of Parquet files.

    Example: tagger tag monday.txt tuesday.txt --output tagged
    """
    if engine == "local" and (workers or cluster or device != "cpu"):
        raise TaggerError("--workers, --cluster and --device are for --engine ray")
    from tagger._util.atomic import exclusively
    from tagger.tagging import TAGS_FILE, check_output, read_for_run, tag_papers

    check_output(folder, write or [], [Path(file) for file in files])
    with ExitStack() as stack:
        chosen: RayEngine | None = None
        load: Callable[[Sequence[Paper]], TaggerModel] = partial(output.load_model_named, model)
        if engine == "ray":
            chosen, load = stack.enter_context(_ray(model, workers, cluster, device))
            # Two runs into one folder would mix what they read.
            stack.enter_context(exclusively(folder / TAGS_FILE))
        collect = partial(read_for_run, folder=folder, engine=chosen)
        read, problems = output.collect_pages(files, format_name, column, collect)
        loaded = load(read.papers).at_effort(effort)
        rule, promise = output.review_rule(loaded, min_confidence, target_precision)
        with output.progress() as step:
            run = tag_papers(
                read.papers,
                loaded,
                folder,
                rule,
                read=read,
                problems=problems,
                formats=write or [],
                parts=bool(chosen) and not write,
                engine=chosen,
                progress=step,
            )
    for warning in run.drift.warnings if run.drift else ():
        output.warn(f"{warning}; review some of them: tagger review push")
    if as_json:
        counted = {name: getattr(run, name) for name in _COUNTED}
        for name in ("near_duplicates", "problems"):
            counted[name] = len(counted[name])
        output.print_json(
            {
                "model": loaded.name,
                "effort": effort,
                "files_failed": [str(problem) for problem in problems],
                "entries": len(read.entries),
                **counted,
                "promise": _promise_as_json(promise, target_precision),
                "counts": run.counts,
                "drift": run.drift and {**run.drift.figures(), "warnings": run.drift.warnings},
                "output": [shown(path) for path in run.files],
            }
        )
    else:
        _print_tag_run(run, loaded, len(read.entries), show)
        output.echo("Written: " + ", ".join(map(shown, run.files)))
    if run.drift and not loaded.name.startswith("local/"):
        sys.stdout.flush()  # MLflow takes longer than tagging did
        _log_drift(run.drift, loaded.name, model, [Path(file) for file in files])
    if run.problems:
        raise typer.Exit(2)


@contextmanager
def _ray(
    model: str, workers: int | None, cluster: str | None, device: str
) -> Iterator[tuple[RayEngine, Callable[[Sequence[Paper]], TaggerModel]]]:
    """Give an engine of Ray, and what loads the model here, where nothing is encoded."""
    from tagger.model import default_cache, load_model
    from tagger.registry import find_model_folder

    with output.needs_extra("scale"), TemporaryDirectory() as scratch:
        from tagger.tagging import RayEngine, device_of_cluster, ray_cluster

        found = find_model_folder(model, Path(scratch))
        with ray_cluster(cluster, workers):
            chosen = RayEngine(found.folder, workers, device_of_cluster(device))
            # With a cache, the encoder is not loaded.
            yield chosen, lambda _papers: load_model(found.folder, found.version, default_cache())


def _promise_as_json(promise: Promise | None, target_precision: float | None) -> object:
    return promise and {
        "target_precision": target_precision,
        "expected_coverage": promise.coverage,
        "shortfalls": promise.shortfalls,
    }


def _log_drift(drift: Drift, version: str, wanted: str, files: list[Path]) -> None:
    """Log with MLflow how unlike the labelled papers a digest is, once all else is done."""
    from tagger.registry import Registry, log_tag_run, look_up

    registry = Registry()
    try:
        with output.working("Recording the run in MLflow"):
            log_tag_run(registry, drift, version, files)
            if registry.store.embedded:
                # The store is another than it was when this was looked up; MLflow is loaded now.
                look_up(registry, wanted)
    except TaggerError as error:
        output.warn(f"the papers are tagged, but MLflow did not record the run: {error}")


def _print_tag_run(run: TagRun, model: TaggerModel, entries: int, show: int) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tagger.cli.console import Console

    console = Console(highlight=False)
    if show:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
        table.add_column("paper", ratio=2)
        for facet in model.taxonomy.facets:
            table.add_column(facet.name, no_wrap=True)
        table.add_column("review", ratio=1, min_width=16)
        for paper in islice(run.tagged(), show):
            cells = [Text(paper.title)]
            for name, tags in paper.tags.items():
                sure = paper.confidence[name]
                cells.append(Text("\n".join(f"{tag} {sure[tag]:.2f}" for tag in tags) or "-"))
            cells.append(Text(paper.review.reason if paper.review else ""))
            table.add_row(*cells)
        console.print(table)
        if run.papers > show:
            console.print(f"and {run.papers - show} more in the files")
    for facet in model.taxonomy.facets:
        shown = ", ".join(f"{tag} {n}" for tag, n in run.counts[facet.name].most_common())
        console.print(Text.assemble((f"{facet.name}: ", "bold"), shown or "no tags"))
    for pair in run.near_duplicates:
        titles = f"{' / '.join(pair.titles)} ({pair.similarity:.2f} alike)"
        console.print(Text.assemble(("versions of one study? ", "yellow"), titles))
    refused = f"{len(run.problems)} not tagged, " if run.problems else ""
    if run.shards_before:
        console.print(f"shards: {run.shards}, of them tagged before: {run.shards_before}")
    if run.worker_deaths or run.failures:
        console.print(
            f"workers that died at a paper: {run.worker_deaths}, times that workers were started "
            f"anew: {run.failures}"
        )
    console.print(
        f"{entries} entries, {run.papers} papers, {refused}{run.to_review} to review, "
        f"tagged by {model.name}"
    )
