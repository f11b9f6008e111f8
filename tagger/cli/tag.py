"""``tagger tag``: tag the papers of digests."""

from __future__ import annotations

import sys
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
    from tagger.tagging import TagRun


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

    Writes tags.jsonl, tags.csv and near_duplicates.jsonl to the output folder, with --write other
    forms beside them, and each BibTeX or RIS file anew, unchanged but for the tags among its
    keywords. The content of a file tells its format. A page or row that cannot be read is listed in
    problems.jsonl, and the others are tagged all the same; the exit code is then 2. A warning says
    if the papers are unlike those that the model was trained on; the figures are logged to MLflow.

    With --target-precision 0.95, as many tags are accepted as leave at most 5 in 100 wrong, judged
    by labelled papers that the model had not seen; a warning names the facets that have too few
    labels for that.

    Less --effort is faster. Confidences, warnings and promises are those of what was read: the less
    that is, the more papers are in doubt.

    With --engine ray, files of any size and number, also in object storage, are tagged on many
    workers, into Parquet. Given again after any failure, the same command goes on where it stopped.

    Example: tagger tag monday.txt tuesday.txt --output tagged
    """
    if engine == "ray":
        if write:
            raise TaggerError("the engine ray writes Parquet only", hint="Leave --write out")
        from tagger.model import default_cache, load_model
        from tagger.papers import check_reading
        from tagger.registry import find_model_folder

        columns = output.parse_columns(column or [])
        check_reading(format_name, columns)
        with output.needs_extra("scale"), TemporaryDirectory() as scratch:
            from tagger.tagging import RayEngine, device_of_cluster, ray_cluster, tag_tables

            found = find_model_folder(model, Path(scratch))
            # With a cache, the encoder is not loaded here, where nothing is encoded.
            loaded = load_model(found.folder, found.version, default_cache()).at_effort(effort)
            rule, promise = output.review_rule(loaded, min_confidence, target_precision)
            with ray_cluster(cluster, workers), output.progress() as step:
                chosen = device_of_cluster(device)
                manifest = tag_tables(
                    files,
                    loaded,
                    found.folder,
                    folder,
                    rule,
                    RayEngine(workers, chosen),
                    columns=columns,
                    format_name=format_name,
                    device=chosen,
                    progress=step,
                )
        if as_json:
            counted = manifest.model_dump(exclude={"parts", "run"})
            promised = _promise_as_json(promise, target_precision)
            said = {"effort": effort, "promise": promised, "output": shown(folder)}
            output.print_json(counted | said)
        else:
            for facet, counts in manifest.counts.items():
                given = ", ".join(f"{tag} {number}" for tag, number in counts.most_common())
                output.echo(f"{facet}: {given or 'no tags'}")
            shards = f"shards: {manifest.shards}"
            if manifest.shards_before:
                shards += f", done before: {manifest.shards_before}"
            if manifest.worker_deaths:
                shards += f", workers that died: {manifest.worker_deaths}"
            output.echo(
                f"{manifest.rows} rows ({shards}), "
                f"{manifest.tagged} papers, {manifest.merged} more entries of them, "
                f"{manifest.problems} not tagged, {manifest.to_review} to review, "
                f"tagged by {manifest.model}"
            )
            output.echo(f"Written: {shown(folder / 'tags')}")
        if manifest.problems:
            where = shown(folder / "problems.jsonl")
            refused = f"rows that could not be tagged: {manifest.problems}"
            output.warn(f"{refused}; why is said in {where}")
            raise typer.Exit(2)
        return
    if workers or cluster or device != "cpu":
        raise TaggerError("--workers, --cluster and --device are for --engine ray")
    from tagger._util.atomic import exclusively
    from tagger.tagging import TAGS_FILE, check_output, tag_papers

    paths = [Path(file) for file in files]
    check_output(folder, write or [], paths)
    read, problems = output.collect_pages(paths, format_name, column)
    loaded = output.load_model_named(model, read.papers).at_effort(effort)
    rule, promise = output.review_rule(loaded, min_confidence, target_precision)
    # Two runs into one folder would mix their results.
    with exclusively(folder / TAGS_FILE), output.progress() as step:
        run = tag_papers(
            read.papers,
            loaded,
            folder,
            rule,
            partial(step, "Tagging"),
            write or [],
            read,
            partial(step, "Writing results"),
            problems,
        )
    for warning in run.drift.warnings if run.drift else ():
        output.warn(f"{warning}; review some of them: tagger review push")
    if as_json:
        output.print_json(
            {
                "model": loaded.name,
                "effort": effort,
                "files_failed": [str(problem) for problem in problems],
                "entries": len(read.entries),
                "papers": run.papers,
                "to_review": run.to_review,
                "problems": len(run.problems),
                "promise": _promise_as_json(promise, target_precision),
                "near_duplicates": len(run.near_duplicates),
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
        _log_drift(run.drift, loaded.name, model, paths)
    if run.problems:
        raise typer.Exit(2)


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
    console.print(
        f"{entries} entries, {run.papers} papers, {refused}{run.to_review} to review, "
        f"tagged by {model.name}"
    )
