"""``tagger review``: the round trip through Label Studio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import output

if TYPE_CHECKING:
    from tagger.labels import Agreement, Conflict, LabelStore
    from tagger.model import TaggerModel
    from tagger.papers import Paper
    from tagger.review import Connection, ReviewProject

app = typer.Typer(no_args_is_help=True, help="Correct in Label Studio what the model is unsure of.")


@app.command()
def serve(
    port: Annotated[
        int,
        typer.Option(min=1, max=65535, envvar="LABEL_STUDIO_PORT", help="Port on this machine."),
    ] = 8080,
    folder: output.FolderOption = output.LABEL_STUDIO_FOLDER,
    as_json: output.JsonOption = False,
) -> None:
    """Start a Label Studio server on this machine, or find the running one.

    The first call installs Label Studio into an environment of its own. The server listens on
    127.0.0.1 only and keeps its data in the folder.

    Example: tagger review serve --port 8080
    """
    from tagger.review import EmbeddedServer

    with output.needs_extra("review"), output.working("Label Studio is coming up"):
        server = EmbeddedServer(folder).start(port, lambda text: output.echo(text, err=True))
    if as_json:
        fields = ("url", "email", "password", "token", "pid")
        output.print_json({name: getattr(server, name) for name in fields})
    else:
        output.echo(f"Label Studio: {server.url}")
        output.echo(f"Log in as    {server.email}")
        output.echo(f"Password     {server.password}")


@app.command()
def stop(
    folder: output.FolderOption = output.LABEL_STUDIO_FOLDER, as_json: output.JsonOption = False
) -> None:
    """Stop the Label Studio server of this workspace. Its data stay.

    Example: tagger review stop
    """
    from tagger.review import EmbeddedServer

    with output.needs_extra("review"):
        stopped = EmbeddedServer(folder).stop()
    if as_json:
        output.print_json({"stopped": stopped})
    else:
        output.echo("Label Studio is stopped." if stopped else "No Label Studio was running here.")


@app.command()
def push(
    files: output.FilesArgument,
    labels: output.LabelsOption = Path("labels"),
    model: output.ModelOption = "champion",
    budget: Annotated[
        int, typer.Option(min=1, help="How many of these papers should wait for review.")
    ] = 20,
    strategy: Annotated[
        str, typer.Option(help="What to send: see 'tagger review strategies'.")
    ] = "uncertainty",
    random_share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the papers sampled at random, to measure with."),
    ] = 0.1,
    blind_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the papers sent without suggestions.")
    ] = 0.0,
    min_confidence: output.MinConfidenceOption = 0.6,
    target_precision: output.TargetPrecisionOption = None,
    project: output.ProjectOption = None,
    folder: output.FolderOption = output.LABEL_STUDIO_FOLDER,
    format_name: output.FormatOption = None,
    column: output.ColumnOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Send the papers that are most worth a person's time to Label Studio.

    Papers that are labelled already are passed over. Pushing again adds only what is new, and
    shows the present model's tags on tasks that nobody has touched. With --target-precision only
    papers with a tag below that precision are sent, and those sampled at random.

    Example: tagger review push monday.txt tuesday.txt --budget 20
    """
    from tagger.review import load_strategy

    chosen = load_strategy(strategy)
    read, problems = output.collect_pages(files, format_name, column)
    store = _read_store(labels)
    server = _connect(folder)
    # Without a model no project is made.
    loaded = output.load_model_for(store, model, read.papers)
    target = _open_project(server, store, project, create=True)
    from tagger.review import POOL_SIZE, PushSettings, push_papers

    rule, _ = output.review_rule(loaded, min_confidence, target_precision)
    settings = PushSettings(budget, chosen, random_share, blind_share, rule)
    with output.progress() as step:
        report = push_papers(
            read.papers,
            loaded,
            store.all_labels(),
            target,
            settings,
            progress=step,
            taxonomy=store.taxonomy,
        )
    if as_json:
        unread = [str(problem) for problem in problems]
        output.print_json({**asdict(report), "files_failed": unread})
    else:
        queues = ", ".join(f"{name} {count}" for name, count in report.queues.items())
        output.echo(f"{report.new} new papers sent" + (f" ({queues})" if queues else ""))
        if report.candidates > POOL_SIZE:
            sampled = f"{POOL_SIZE:,} of {report.candidates:,} papers"
            output.echo(f"chosen from {sampled}, sampled at random")
        if report.refreshed:
            output.echo(f"{report.refreshed} waiting papers show the present model's tags")
        if report.duplicates_removed:
            output.echo(f"{report.duplicates_removed} copies removed")
        for change in report.interface_changes:
            output.echo(f"interface: {change}")
        for problem in report.problems:
            output.echo(f"left alone: {problem}", err=True)
        output.echo(f"{report.waiting} papers wait at {report.url}")
    if problems:
        raise typer.Exit(2)


@app.command()
def pull(
    labels: output.LabelsOption = Path("labels"),
    conflicts: output.ConflictsOption = "latest",
    project: output.ProjectOption = None,
    folder: output.FolderOption = output.LABEL_STUDIO_FOLDER,
    as_json: output.JsonOption = False,
) -> None:
    """Bring the corrections home, into corrections.jsonl of the label folder.

    Each annotation comes once; pulled again, only what is new or was changed is added. Lines that
    you edited by hand stay. The exit code is 1 if reviewers differ and no rule settles it.

    Example: tagger review pull --conflicts majority
    """
    store = _read_store(labels)
    target = _open_project(_connect(folder), store, project)
    from tagger.review import pull_labels

    with output.working("Reading annotations"):
        report = pull_labels(target, store, conflicts)
    if as_json:
        output.print_json(asdict(report))
    else:
        output.echo(
            f"{report.new} new, {report.changed} changed, {report.withdrawn} withdrawn, "
            f"{report.skipped} skipped"
        )
        _print_conflicts(report.conflicts)
        _print_agreement(report.agreement)
        for problem in report.problems:
            output.echo(f"left out: {problem}", err=True)
    if any(not conflict.settled for conflict in report.conflicts):
        raise typer.Exit(1)


@app.command()
def status(
    labels: output.LabelsOption = Path("labels"),
    conflicts: output.ConflictsOption = "latest",
    project: output.ProjectOption = None,
    folder: output.FolderOption = output.LABEL_STUDIO_FOLDER,
    as_json: output.JsonOption = False,
) -> None:
    """Show what waits, what is done, and what reviewers and model make of each other.

    Tells how often each tag of the model was taken away or had to be added, how far reviewers
    agree, and whether they agree more with a model whose tags they see. Speaks of what was pulled.

    Example: tagger review status
    """
    store = _read_store(labels)
    target = _open_project(_connect(folder), store, project)
    from tagger.review import review_status

    with output.working("Reading tasks"):
        tasks, _ = target.tasks()
        found = review_status(tasks, store.all_labels(), store.taxonomy, conflicts)
    if as_json:
        output.print_json(asdict(found))
        return
    from tagger.cli.console import print_table

    queues = ", ".join(f"{name} {count}" for name, count in found.queues.items())
    output.echo(f"{found.waiting} waiting" + (f" ({queues})" if queues else ""))
    output.echo(f"{found.done} done, {found.skipped} skipped")
    if found.median_seconds:
        output.echo(f"{found.median_seconds:.0f} s a paper (median)")
    open_ = [conflict for conflict in found.conflicts if not conflict.settled]
    output.echo(f"{len(open_)} in conflict, {len(found.conflicts) - len(open_)} settled")
    _print_conflicts(open_)
    rows = [
        (facet, tag, str(verdict.given), str(verdict.taken_away), str(verdict.added))
        for facet, verdicts in found.verdicts.items()
        for tag, verdict in verdicts.items()
        if verdict.given or verdict.added
    ]
    if rows:
        numbers = ("given by the model", "taken away", "added")
        print_table(("facet", "tag", *numbers), rows, numbers)
    for facet, (accuracy, count) in found.random_accuracy.items():
        output.echo(
            f"{facet}: reviewers agree with the model on {accuracy:.0%} of {count} answers on "
            "papers sampled at random"
        )
    for anchoring in found.anchoring:
        output.echo(
            f"{anchoring.facet}: reviewers agree with the model on {anchoring.agree_shown:.0%} of "
            f"{anchoring.shown} answers with its tags in view, {anchoring.agree_blind:.0%} of "
            f"{anchoring.blind} without (difference {anchoring.difference:+.0%}, "
            f"p = {anchoring.p_value:.2f})"
        )
    _print_agreement(found.agreement)
    output.echo(target.url)


@app.command()
def strategies(as_json: output.JsonOption = False) -> None:
    """List the strategies that choose papers for review, those of other packages too.

    Example: tagger review strategies
    """
    import inspect

    from tagger.review import load_strategy, strategy_names

    texts = {}
    for name in strategy_names():
        text = inspect.getdoc(type(load_strategy(name))) or ""
        texts[name] = text.split("\n\n")[0].replace("\n", " ")
    if as_json:
        output.print_json(texts)
    else:
        for name, text in texts.items():
            output.echo(f"{name:14} {text}")


@app.command()
def backend(
    labels: output.LabelsOption = Path("labels"),
    model: output.ModelOption = "champion",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 9090,
    url: Annotated[
        str | None, typer.Option(help="Where Label Studio reaches it, if not at host and port.")
    ] = None,
    train_after: Annotated[
        int,
        typer.Option(
            min=0,
            help="Train a challenger, as the model was trained, after so many new annotations; "
            "0: never.",
        ),
    ] = 0,
    conflicts: output.ConflictsOption = "latest",
    project: output.ProjectOption = None,
    folder: output.FolderOption = output.LABEL_STUDIO_FOLDER,
) -> None:
    """Serve live predictions to Label Studio, and pull when annotations are finished.

    Connects itself to the project: a task without tags gets the champion's when it is opened, and
    each finished annotation is brought home. Runs until it is interrupted.

    Example: tagger review backend --train-after 20
    """
    store = _read_store(labels)
    target = _open_project(_connect(folder), store, project)
    from tagger.cli.backend import run_backend

    run_backend(store, target, model, (host, port), url, train_after, conflicts)


def send_rechecks(
    rechecks: Mapping[Paper, str],
    model: TaggerModel,
    store: LabelStore,
    project: str | None,
    folder: Path,
) -> int:
    """Send labelled papers to Label Studio with the reason to look again; return the new tasks."""
    target = _open_project(_connect(folder), store, project, create=True)
    from tagger.review import push_rechecks

    with output.progress() as step:
        return push_rechecks(rechecks, model, target, progress=step, taxonomy=store.taxonomy).new


def _read_store(labels: Path) -> LabelStore:
    """Open the label folder; a damaged file is found before anything is asked of the server."""
    from tagger.labels import LabelStore

    store = LabelStore(labels)
    store.all_labels()
    return store


def _connect(folder: Path) -> Connection:
    from tagger.review import connect

    with output.needs_extra("review"):
        return connect(folder)


def _open_project(
    server: Connection, store: LabelStore, project: str | None, *, create: bool = False
) -> ReviewProject:
    from tagger.review import open_project

    return open_project(server, store.taxonomy, project, create=create)


def _print_conflicts(conflicts: list[Conflict]) -> None:
    for conflict in conflicts:
        answers = "; ".join(
            f"{annotator}: {', '.join(tags) or 'none'}"
            for annotator, tags in conflict.answers.items()
        )
        state = "settled" if conflict.settled else "CONFLICT"
        output.echo(f"{state}: '{conflict.title}', {conflict.facet or 'outcome'}: {answers}")


def _print_agreement(agreements: list[Agreement]) -> None:
    for agreement in agreements:
        pairs = [f"kappa {kappa:.2f} {who}" for who, kappa in agreement.kappa.items()]
        output.echo(
            f"{agreement.facet}: alpha {agreement.alpha:.2f} on {agreement.papers} papers with "
            "several reviewers; " + "; ".join(pairs)
        )
