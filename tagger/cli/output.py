"""Read input, load models and print, in the same way for all commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tagger._util.text_safety import json_printable, printable
from tagger.cli import options
from tagger.errors import TaggerError, missing_package, shown

if TYPE_CHECKING:
    from tagger.evaluation import Figure, SampleFigures
    from tagger.labels import ConflictRule, Contradiction, Label, LabelSnapshot, LabelStore
    from tagger.model import PrecisionTarget, ReviewRule, TaggerModel
    from tagger.papers import Paper, PaperCollection
    from tagger.registry import Registry
    from tagger.taxonomy import Facet, Taxonomy

_ROWS_SHOWN = 5


def load_model_for(store: LabelStore, model: str, papers: Sequence[Paper] = ()) -> TaggerModel:
    """Load a model as :func:`load_model_named` does, and check that it fits the label folder.

    Each facet of the model must have the same tags in the folder's taxonomy. Definitions may
    differ, and the taxonomy may have further facets.
    """
    loaded = load_model_named(model, papers)
    if problem := misfit(loaded, store.taxonomy):
        hint = f"Train on this taxonomy first: tagger train{options.naming(store.folder)}"
        raise TaggerError(problem, path=store.folder, hint=hint)
    return loaded


def misfit(model: TaggerModel, taxonomy: Taxonomy) -> str | None:
    """Return how a taxonomy differs from a facet of the model, in words, or None if all fit."""

    def form(facet: Facet) -> object:
        return facet.exclusive, {tag.name: tag.parent for tag in facet.tags}

    facets = {facet.name: form(facet) for facet in taxonomy.facets}
    for facet in model.taxonomy.facets:
        if facets.get(facet.name) != form(facet):
            return (
                f"{model.name} was trained for another taxonomy ('{model.taxonomy.name}'): the "
                f"facet '{facet.name}' differs from that of the label folder"
            )
    return None


def load_model_named(model: str, papers: Sequence[Paper] = ()) -> TaggerModel:
    """Load the model that ``--model`` names, for use on papers."""
    from tagger.registry import load_model_by_name

    with progress() as step:
        return load_model_by_name(model, papers, step)


def review_rule(
    model: TaggerModel, min_confidence: float, target_precision: float | None
) -> tuple[ReviewRule, PrecisionTarget | None]:
    """Return the rule of the options and its target; warn of facets that miss the target."""
    from tagger.model import review_rule as rule_of

    rule, target = rule_of(model, min_confidence, target_precision)
    for shortfall in target.shortfalls if target else ():
        warn(shortfall)
    return rule, target


def warn_of_contradictions(labels: Iterable[Label]) -> list[Contradiction]:
    """Warn of seed labels that differ, and return them."""
    from tagger.labels import find_contradictions

    found = find_contradictions(labels)
    for one in found[:_ROWS_SHOWN]:
        answers = " / ".join(", ".join(tags) or "no tag" for tags in one.answers)
        warn(f"'{one.title}', {one.facet}: seed labels differ: {answers}; leave one of them")
    if len(found) > _ROWS_SHOWN:
        warn(f"{len(found) - _ROWS_SHOWN} more seed labels differ: tagger taxonomy check --json")
    return found


def paper_rows(papers: Iterable[Paper]) -> list[dict[str, object]]:
    """Return suggested papers as rows of JSON."""
    return [{"id": one.id, "title": one.title, "sources": list(one.sources)} for one in papers]


def read_store(labels: Path) -> LabelStore:
    """Open the label folder, and find damaged files before anything else is done."""
    from tagger.labels import LabelStore

    store = LabelStore(labels)
    store.all_labels()
    return store


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Turn a failed import in the block into an error that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_package(error, extra) from error


def open_registry() -> Registry:
    """Open the MLflow store of the workspace, and log the runs recorded since the last time.

    Raises a TaggerError if MLflow is not installed.
    """
    # Importing it quiets MLflow, which is loaded at the first use of the store.
    from tagger.registry import Registry, log_recorded_runs

    if find_spec("mlflow") is None:
        raise missing_package(ModuleNotFoundError(name="mlflow"), "train")
    registry = Registry()
    log_recorded_runs(registry.store)
    return registry


def collect_pages(
    files: Sequence[Path | str],
    format_name: str | None = None,
    columns: list[str] | None = None,
    collect: Callable[..., PaperCollection] | None = None,
) -> tuple[PaperCollection, list[TaggerError]]:
    """Read papers from files as given on the command line; ``-`` is standard input.

    Prints and returns the errors; ends the program if nothing can be read. Prints the notices about
    the files. ``collect`` reads, by default :func:`tagger.papers.collect_papers`.
    """
    from tagger.papers import collect_papers

    problems: list[TaggerError] = []
    by_field = parse_columns(columns or [])
    with working("Reading"):
        read = (collect or collect_papers)(
            files, on_error=problems.append, format_name=format_name, columns=by_field
        )
    for problem in problems:
        complain(problem)
    for file in read.files:
        rows = [*file.problems.values()]
        for problem in rows[:_ROWS_SHOWN]:
            complain(problem)
        if (more := len(rows) - _ROWS_SHOWN) > 0:
            complain(TaggerError(f"{more} more rows cannot be read", path=file.source.path))
        problems += rows
    if problems and not read.papers:
        raise typer.Exit(2)
    for notice in read.notices:
        warn(notice)
    return read, problems


def papers_to_review(read: PaperCollection) -> Sequence[Paper]:
    """Return the papers that were read, without near duplicates of earlier papers of a library."""
    from tagger.papers import Library

    libraries = [Library(file.source.path) for file in read.files if file.format == "library"]
    again = {pair.ids[1] for library in libraries for pair in library.near_duplicates()}
    if not again:
        return read.papers
    # The id in the library is that of the entry; a merged paper may have another one.
    numbers = read.papers.numbers.tolist()
    left = {
        number for number, entry in zip(numbers, read.entries, strict=True) if entry.id in again
    }
    papers = [paper for number, paper in enumerate(read.papers) if number not in left]
    if more := len(read.papers) - len(papers):
        warn(f"{more} papers are near duplicates of earlier ones, which are offered in their place")
    return papers


def read_pages(
    files: Sequence[Path | str], format_name: str | None = None, columns: list[str] | None = None
) -> tuple[list[Paper], list[TaggerError]]:
    """Read papers as :func:`collect_pages` does, all of them into memory."""
    read, problems = collect_pages(files, format_name, columns)
    return list(read.papers), problems


def label_snapshot(folder: Path, places: Sequence[Path], conflicts: ConflictRule) -> LabelSnapshot:
    """Take a snapshot of a label folder; texts that it lacks are read from files and folders."""
    from tagger.labels import LabelStore

    snapshot = LabelStore(folder, read_texts(places)).snapshot(conflicts)
    if snapshot.without_text:
        place = "their texts are not in --texts" if places else "give their texts with --texts"
        warn(f"labels without a text that do not count: {snapshot.without_text}; {place}")
    return snapshot


def read_texts(places: Sequence[Path]) -> list[Paper]:
    """Read the papers of files, and of the files in folders, for labels without a text."""
    for place in places:
        if not place.exists():
            raise TaggerError("no such file or folder", path=place, hint="Check --texts")
    return read_pages(places)[0]


def parse_columns(pairs: list[str]) -> dict[str, str]:
    """Parse options of the form ``--column FIELD=NAME``; return the column of each field."""
    columns = {}
    for text in pairs:
        field, equals, name = (part.strip() for part in text.partition("="))
        if not (field and equals and name):
            raise TaggerError(
                f"expected FIELD=NAME, got '{text}'", hint="For example --column title=Heading"
            )
        columns[field] = name
    return columns


def parse_since(text: str | None) -> date | None:
    """Parse a day, 2026-11-03, or a number of days until today, 7d."""
    try:
        if text and text.endswith("d"):
            return date.today() - timedelta(int(text[:-1]))
        return date.fromisoformat(text) if text else None
    except (ValueError, OverflowError) as error:
        hint = "Write a day, 2026-11-03, or a number of days until today, 7d"
        raise TaggerError(f"--since cannot be '{text}'", hint=hint) from error


def echo(text: str, *, err: bool = False) -> None:
    """Print text on standard output or standard error, with control sequences made visible.

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


def warn_of_earlier_files(folder: Path, written: Collection[Path]) -> None:
    """Warn of results in a folder that were not written again, in formats not asked for."""
    from tagger.tagging import files_of_earlier_runs

    for path in files_of_earlier_runs(folder, written):
        warn(f"{shown(path)} is of an earlier run: write it again, or delete it")


def print_figures(measured: Sequence[SampleFigures]) -> None:
    """Print the figures of each facet, those on reviewed papers before those on seed labels."""
    from tagger.cli.console import print_table
    from tagger.evaluation import SHOWN_METRICS

    columns = ("reviewed papers", "seed labels")
    for facet in dict.fromkeys(one.facet for one in measured):
        sides = [
            next((m for m in measured if m.facet == facet and (m.sample == "seed") is seed), None)
            for seed in (False, True)
        ]
        rows = [("papers", *(str(side.papers) if side else "-" for side in sides))]
        rows += [
            (
                metric.label,
                *(in_words(side.figures[name]) if side else "not known" for side in sides),
            )
            for name, metric in SHOWN_METRICS.items()
        ]
        print_table(("", *columns), rows, columns, facet)
        shown = next(side for side in sides if side)
        if shown.sample != "reviewed":
            print_samples([shown])


def print_samples(measured: Iterable[SampleFigures]) -> None:
    """Print on which papers facets were measured, and how to measure on papers that arrive."""
    from tagger.evaluation import UNKNOWN

    for one in measured:
        unknown = f"; {UNKNOWN}" if one.sample == "seed" else ""
        echo(f"{one.facet}: measured on {one.measured_on}{unknown}")


def in_words(figure: Figure) -> str:
    """Return a figure with its interval."""
    return f"{figure.value:.2f} ({figure.interval[0]:.2f} to {figure.interval[1]:.2f})"


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object; dataclasses in it become objects."""
    typer.echo(json_printable(json.dumps(content, ensure_ascii=False, indent=2, default=asdict)))


def finish(
    content: dict[str, Any],
    problems: Sequence[TaggerError],
    as_json: bool,
    show: Callable[[], None],
) -> None:
    """Print a result, as JSON or by ``show``; the exit code is 2 if files could not be read."""
    if as_json:
        print_json({**content, "files_failed": [str(problem) for problem in problems]})
    else:
        show()
    if problems:
        raise typer.Exit(2)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show on standard error that work of unknown length is in progress."""
    from tagger.cli.console import Console

    with Console(stderr=True).status(text):
        yield


@contextmanager
def progress() -> Iterator[Any]:
    """Return a function that shows the progress of a stage on standard error."""
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
