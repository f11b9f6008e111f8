"""The command line: parse, call one function, print."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tagger import __version__
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from tagger.model import TaggerModel
    from tagger.paper import Paper
    from tagger.tagging import TagRun

TAG_NEW = "Daily use 1: tag new digests"
COMPARE = "Daily use 2: train on your labels, compare the runs in MLflow"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tagger {__version__}")
        raise typer.Exit


@app.callback()
def _tour(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and leave.",
            is_eager=True,
            callback=_print_version,
        ),
    ] = False,
) -> None:
    """Tag papers by what they contribute and what they are about.

    A day with tagger:

    [bold]1. A digest arrives.[/bold] Every paper on it gets its tags, and a confidence to
    believe:

        tagger tag digest.txt --output tagged

    [bold]2. Some papers are doubtful.[/bold] They are marked in the review column of
    tagged/tags.csv, with the doubt in words. Correct them by adding lines to
    labels/corrections.jsonl.

    [bold]3. A better model.[/bold] Train on all labels, then look at the runs side by side:

        tagger train

        mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db
    """


@app.command(rich_help_panel=TAG_NEW)
def tag(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILES...", help="Digest pages.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "tagged"
    ),
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="A version (7), an alias (champion) or a model's folder."
        ),
    ] = "champion",
    min_confidence: Annotated[
        float,
        typer.Option(
            min=0.5, max=1.0, help="A paper goes to review if the model is less sure than this."
        ),
    ] = 0.6,
    show: Annotated[
        int, typer.Option(min=0, help="Print at most this many papers; the files hold all.")
    ] = 25,
    as_json: JsonOption = False,
) -> None:
    """Tag every paper of one or more digest pages.

    Writes tags.jsonl, tags.csv and near_duplicates.jsonl to the output folder. A page that cannot
    be read is reported and the others are tagged all the same; the exit code is then 2.

    Example: tagger tag monday.txt tuesday.txt --output tagged
    """
    from tagger.paper import merge_duplicates
    from tagger.readers import read_papers

    problems: list[TaggerError] = []
    entries = list(read_papers(files, on_error=problems.append))
    papers = merge_duplicates(entries)
    for problem in problems:
        _complain(problem)
    if not papers:
        raise typer.Exit(2)

    from tagger.decision import ReviewRule
    from tagger.tagging import tag_papers

    loaded = _load(model)
    with _progress() as step:
        run = tag_papers(
            papers,
            loaded,
            output,
            ReviewRule(min_confidence),
            lambda done, total: step("Tagging", done, total),
        )
    if as_json:
        _print_json(
            {
                "model": loaded.name,
                "files_failed": [str(problem) for problem in problems],
                "entries": len(entries),
                "papers": len(papers),
                "to_review": run.to_review,
                "near_duplicates": len(run.near_duplicates),
                "counts": run.counts(),
                "output": [str(path) for path in run.files],
            }
        )
    else:
        _print_tag_run(run, loaded, entries, show)
    if problems:
        raise typer.Exit(2)


@app.command(rich_help_panel=COMPARE)
def train(
    labels: Annotated[Path, typer.Option("--labels", "-l", help="The label folder.")] = Path(
        "labels"
    ),
    encoder: Annotated[
        str, typer.Option(help="A sentence-transformers model: a folder or a name.")
    ] = "bundled-minilm",
    max_tokens: Annotated[
        int, typer.Option(min=16, max=512, help="Texts are cut to this many tokens.")
    ] = 256,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the labels.")] = 8,
    folds: Annotated[
        int, typer.Option(min=2, help="Parts of the cross-validation behind all figures.")
    ] = 5,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn by chance.")] = 0,
    alias: Annotated[
        Literal["champion", "challenger"],
        typer.Option(help="champion: use it from now on; challenger: only register it."),
    ] = "champion",
    if_changed: Annotated[
        bool,
        typer.Option(
            "--if-changed", help="Do nothing if the champion was trained on just these inputs."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model on all labels and register it in MLflow.

    Figures come from cross-validation on the labels; parameters, label files, confusion matrices
    and the model itself are logged with the run.

    Example: tagger train --labels labels
    """
    from tagger.labels import LabelStore
    from tagger.registry import Registry
    from tagger.training import TrainingSettings
    from tagger.training import train as train_model

    settings = TrainingSettings(
        encoder=encoder, max_tokens=max_tokens, epochs=epochs, folds=folds, seed=seed
    )
    store = LabelStore(labels)
    merged = store.labels()
    registry = Registry()
    champion = registry.champion()
    if (
        if_changed
        and champion
        and champion.fingerprint == settings.fingerprint(store.taxonomy, merged)
    ):
        if as_json:
            _print_json({"model": champion.name, "trained": False})
        else:
            typer.echo(f"Nothing new: {champion.name} was trained on just these inputs.")
        return

    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        with _progress() as step:
            result = train_model(merged, store.taxonomy, settings, Path(scratch) / "model", step)
        version = registry.log(result, settings, store, merged, alias)
    if as_json:
        _print_json(
            {
                "model": version.name,
                "trained": True,
                "alias": alias,
                "labels": len(merged),
                "seconds": round(result.seconds, 1),
                "metrics": result.metrics,
            }
        )
    else:
        _print_training(version.name, alias, len(merged), result.seconds, result.metrics)


def main() -> None:
    """Run the command line; a :class:`TaggerError` is one line and exit code 2."""
    try:
        app(prog_name="tagger")
    except TaggerError as error:
        _complain(error)
        sys.exit(2)


def _load(model: str) -> TaggerModel:
    """Load a model by folder, version or alias."""
    from tagger.model import load_model

    if Path(model).is_dir():
        return load_model(model)
    try:
        import mlflow  # noqa: F401
    except ModuleNotFoundError as error:
        raise TaggerError(
            f"'{model}' is no folder, and without MLflow no version can be looked up",
            hint="Give a model's folder with --model, or: pip install 'tagger[train]'",
        ) from error
    from tagger.registry import Registry

    registry = Registry()
    return registry.load(registry.find(model))


def _complain(error: TaggerError) -> None:
    typer.echo(f"error: {error}", err=True)


def _print_json(content: dict[str, Any]) -> None:
    typer.echo(json.dumps(content, ensure_ascii=False, indent=2))


@contextmanager
def _progress() -> Iterator[Any]:
    """Give a function that shows the progress of a stage on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bars = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))
    tasks: dict[str, Any] = {}

    def step(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=done, total=total)

    with bars:
        yield step


def _print_tag_run(run: TagRun, model: TaggerModel, entries: list[Paper], show: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if show:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
        table.add_column("paper", ratio=2)
        for facet in model.taxonomy.facets:
            table.add_column(facet.name, no_wrap=True)
        table.add_column("review", ratio=1, min_width=16)
        for row in run.rows[:show]:
            cells = [Text(row["title"])]
            for facet, tags in row["tags"].items():
                chances = row["confidence"][facet]
                cells.append(Text("\n".join(f"{tag} {chances[tag]:.2f}" for tag in tags) or "-"))
            cells.append(Text(row["review"]["reason"] if row["review"] else ""))
            table.add_row(*cells)
        console.print(table)
        if len(run.rows) > show:
            console.print(f"and {len(run.rows) - show} more in the files")
    counts = run.counts()
    for facet in model.taxonomy.facets:
        shown = ", ".join(f"{tag} {n}" for tag, n in counts[facet.name].most_common())
        console.print(Text.assemble((f"{facet.name}: ", "bold"), shown or "no tags"))
    for pair in run.near_duplicates:
        console.print(
            Text.assemble(
                ("versions of one study? ", "yellow"),
                f"{pair.first.title} / {pair.second.title} ({pair.similarity:.2f} alike)",
            )
        )
    console.print(
        f"{len(entries)} entries, {len(run.rows)} papers, {run.to_review} to review, "
        f"tagged by {model.name}"
    )
    console.print("Written: " + ", ".join(str(path) for path in run.files), soft_wrap=True)


def _print_training(
    name: str, alias: str, labels: int, seconds: float, metrics: dict[str, float]
) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{name}, cross-validated on {labels} labels", title_justify="left")
    for column in ("facet", "accuracy", "macro F1", "micro F1", "calibration error"):
        table.add_column(column, justify="left" if column == "facet" else "right")
    for facet in dict.fromkeys(key.split("/")[0] for key in metrics):
        figures = ("accuracy", "macro_f1", "micro_f1", "calibration_error")
        table.add_row(facet, *(f"{metrics[f'{facet}/{figure}']:.3f}" for figure in figures))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"Trained in {seconds:.0f} s; {name} is now {alias}.")
