"""What all commands share: one-line errors, JSON, progress, loading a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tagger._util.text_safety import json_printable, printable
from tagger.errors import TaggerError, missing_package
from tagger.model import MIN_CONFIDENCE, TARGET_PRECISION

if TYPE_CHECKING:
    from tagger.labels import LabelStore
    from tagger.model import Promise, ReviewRule, TaggerModel
    from tagger.papers import Paper, PaperCollection
    from tagger.registry import Registry
    from tagger.taxonomy import Facet

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")]
LabelsOption = Annotated[Path, typer.Option("--labels", "-l", help="The label folder.")]
EncoderOption = Annotated[
    str, typer.Option(help="A sentence-transformers model: a folder or a name.")
]
MaxTokensOption = Annotated[
    int, typer.Option(min=16, max=512, help="Texts are cut to this many tokens.")
]
SeedOption = Annotated[int, typer.Option(help="Seed of all that is drawn by chance.")]

FilesArgument = Annotated[list[Path], typer.Argument(help="Pages or tables.")]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="Read the files in this format, such as csv, rather than the one that their content "
        "tells. An unknown name gives an error that lists all.",
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIELD=NAME",
        help="In tables, the column that holds a field of the papers: title=NAME, abstract=NAME; "
        "repeatable.",
    ),
]
EffortOption = Annotated[
    Literal["low", "balanced", "full"],
    typer.Option(
        help="low reads an excerpt; balanced title and excerpt; full title, excerpt and the whole."
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A version (7), an alias (champion), the id of a training run, a model's folder, or "
        "a label folder whose definitions alone are to tell the tags.",
    ),
]
MinConfidenceOption = Annotated[
    float,
    typer.Option(
        min=MIN_CONFIDENCE[0],
        max=MIN_CONFIDENCE[1],
        help="A paper goes to review if the model is less sure than this.",
    ),
]
TargetPrecisionOption = Annotated[
    float | None,
    typer.Option(
        min=TARGET_PRECISION[0],
        max=TARGET_PRECISION[1],
        help="Share of accepted tags that are to be right; all others go to review.",
    ),
]
ProjectOption = Annotated[
    str | None,
    typer.Option(
        help="Number or title of the Label Studio project; by default 'tagger: ' and the name of "
        "the taxonomy."
    ),
]
FolderOption = Annotated[
    Path, typer.Option(help="Where the workspace's own Label Studio keeps its data.")
]
_ROWS_SHOWN = 5
LABEL_STUDIO_FOLDER = Path(".label-studio")
ConflictsOption = Annotated[
    Literal["latest", "majority", "adjudicate"],
    typer.Option(
        envvar="TAGGER_CONFLICTS",
        help="Where reviewers differ: the latest answer counts, the majority, or none until one "
        "is marked as final.",
    ),
]


def load_model_for(store: LabelStore, model: str, papers: Sequence[Paper] = ()) -> TaggerModel:
    """Load a model as :func:`load_model_named` does, if its facets have the same tags in the store.

    The definitions may differ, and the store may have facets that the model does not know.
    """

    def form(facet: Facet) -> object:
        return facet.exclusive, {tag.name: tag.parent for tag in facet.tags}

    loaded = load_model_named(model, papers)
    facets = {facet.name: facet for facet in store.taxonomy.facets}
    for facet in loaded.taxonomy.facets:
        if facet.name not in facets or form(facet) != form(facets[facet.name]):
            raise TaggerError(
                f"{loaded.name} was trained for another taxonomy than that of the label folder: "
                f"the facet '{facet.name}' differs",
                path=store.folder,
                hint="Train on it first: tagger train",
            )
    return loaded


def load_model_named(model: str, papers: Sequence[Paper] = ()) -> TaggerModel:
    """Load what was given as ``--model``, for use on papers."""
    from tagger.registry import load_model_by_name

    with progress() as step:
        return load_model_by_name(model, papers, step)


def review_rule(
    model: TaggerModel, min_confidence: float, target_precision: float | None
) -> tuple[ReviewRule, Promise | None]:
    """Return the rule and promise of options, and warn of facets without a promise."""
    from tagger.model import review_rule as rule_of

    rule, promise = rule_of(model, min_confidence, target_precision)
    for shortfall in promise.shortfalls if promise else ():
        warn(shortfall)
    return rule, promise


def paper_rows(papers: Iterable[Paper]) -> list[dict[str, object]]:
    """Return what JSON tells of suggested papers."""
    return [{"id": one.id, "title": one.title, "sources": list(one.sources)} for one in papers]


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Say which extra is missing, and how to install it, where an import in the block fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_package(error, extra) from error


def open_registry() -> Registry:
    """Open the MLflow store of the workspace; an error if MLflow is not installed."""
    # It quiets MLflow, which is loaded when the store is first asked.
    from tagger.registry import Registry

    if find_spec("mlflow") is None:
        raise missing_package(ModuleNotFoundError(name="mlflow"), "train")
    return Registry()


def collect_pages(
    files: Sequence[Path | str],
    format_name: str | None = None,
    columns: list[str] | None = None,
    collect: Callable[..., PaperCollection] | None = None,
) -> tuple[PaperCollection, list[TaggerError]]:
    """Read papers from files as given on the command line; ``-`` is standard input.

    Prints what cannot be read and returns it, too; ends the program if nothing can. Reading is done
    by ``collect``, by default :func:`tagger.papers.collect_papers`.
    """
    from tagger.papers import collect_papers

    problems: list[TaggerError] = []
    given = parse_columns(columns or [])
    with working("Reading"):
        read = (collect or collect_papers)(
            files, on_error=problems.append, format_name=format_name, columns=given
        )
    for problem in problems:
        complain(problem)
    for file in read.files:
        rows = [*file.problems.values()]
        for problem in rows[:_ROWS_SHOWN]:
            complain(problem)
        if (more := len(rows) - _ROWS_SHOWN) > 0:
            complain(TaggerError(f"{more} more rows are no papers", path=file.source.path))
        problems += rows
    if not read.papers:
        raise typer.Exit(2)
    return read, problems


def read_pages(
    files: list[Path], format_name: str | None = None, columns: list[str] | None = None
) -> tuple[list[Paper], list[TaggerError]]:
    """Read papers as :func:`collect_pages` does, all of them into memory."""
    read, problems = collect_pages(files, format_name, columns)
    return list(read.papers), problems


def parse_columns(given: list[str]) -> dict[str, str]:
    """Return the column of each field that was given as ``--column FIELD=NAME``."""
    columns = {}
    for text in given:
        field, equals, name = (part.strip() for part in text.partition("="))
        if not (field and equals and name):
            raise TaggerError(
                f"expected FIELD=NAME, got '{text}'", hint="For example --column title=Heading"
            )
        columns[field] = name
    return columns


def echo(text: str, *, err: bool = False) -> None:
    """Print lines on standard output or standard error; a terminal finds nothing to obey in them.

    Control sequences in a title could change the window's title, write to the clipboard (OSC 52),
    hide a link (OSC 8) or reverse a line. All output goes through here or
    :class:`tagger.cli.console.Console`.
    """
    typer.echo(printable(text), err=err)


def complain(error: TaggerError) -> None:
    """Print an error as one line on standard error."""
    echo("error: " + " ".join(str(error).splitlines()), err=True)


def warn(text: str) -> None:
    """Print a warning as one line on standard error."""
    echo(f"warning: {text}", err=True)


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object; a dataclass in it becomes an object of its fields."""
    typer.echo(json_printable(json.dumps(content, ensure_ascii=False, indent=2, default=asdict)))


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show on standard error that work of unknown length goes on."""
    from tagger.cli.console import Console

    with Console(stderr=True).status(text):
        yield


@contextmanager
def progress() -> Iterator[Any]:
    """Give a function that shows the progress of a stage on standard error."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from tagger.cli.console import Console

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    bars = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))
    tasks: dict[str, Any] = {}

    def step(stage: str, done: int, total: int) -> None:
        if not tasks:
            bars.start()
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=done, total=total)

    try:
        yield step
    finally:
        if tasks:
            bars.stop()
