"""``tagger review``: review on a page of this machine, or the round trip through Label Studio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import options, output
from tagger.cli.review_here import here
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from tagger.labels import LabelStore
    from tagger.model import TaggerModel
    from tagger.papers import Paper
    from tagger.review import Connection, PushReport, Recheck, ReviewProject

app = typer.Typer(
    no_args_is_help=True,
    help="Review the papers that the model is unsure of: alone on a page of this machine, or in "
    "Label Studio.",
)
app.command()(here)

ServerPort = Annotated[
    int, typer.Option(min=1, max=65535, envvar="LABEL_STUDIO_PORT", help="Port on this machine.")
]
Against = Annotated[
    str | None,
    typer.Option(help="With --strategy versions: the version to compare --model with."),
]
Overlap = Annotated[
    int | None,
    typer.Option(min=1, help="Number of reviewers who answer each task of the project."),
]
BlindShare = Annotated[
    float, typer.Option(min=0, max=1, help="Share of papers sent without the model's tags.")
]
Confidence = Annotated[
    float,
    typer.Option(min=0.5, max=0.999, help="Confidence with which --enough has to be reached."),
]
More = Annotated[
    int, typer.Option(min=1, help="Number of additional labels whose gain is estimated.")
]
BackendHost = Annotated[str, typer.Option(help="Address to listen on.")]
BackendPort = Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")]
BackendUrl = Annotated[
    str | None,
    typer.Option(help="Address at which Label Studio reaches it, by default http://HOST:PORT."),
]
TrainAfter = Annotated[
    int,
    typer.Option(
        min=0,
        help="Train a challenger, with the settings of the model, after this number of new "
        "annotations; 0: never.",
    ),
]


@app.command()
def serve(
    port: ServerPort = 8080,
    folder: options.ServerFolder = None,
    as_json: options.Json = False,
) -> None:
    """Start Label Studio on this machine, or find the running server.

    The first call installs Label Studio into a separate environment. One server serves all your
    working folders. It listens on 127.0.0.1 only.

    Example: tagger review serve --port 8080
    """
    from tagger.review import EmbeddedServer

    with output.needs_extra("review"), output.working("Label Studio is starting"):
        server = EmbeddedServer(folder).start(port, lambda text: output.echo(text, err=True))
    if as_json:
        output.print_json(asdict(server))
    else:
        output.echo(f"Label Studio: {server.url}")
        output.echo(f"Log in as    {server.email}")
        output.echo(f"Password     {server.password}")


@app.command()
def stop(folder: options.ServerFolder = None, as_json: options.Json = False) -> None:
    """Stop the Label Studio that 'tagger review serve' started. Its data stay.

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
    files: options.Files,
    labels: options.Labels = options.LABELS_FOLDER,
    model: options.Model = "champion",
    budget: options.Budget = 20,
    strategy: options.StrategyName = "uncertainty",
    against: Against = None,
    audit: options.Audit = None,
    audit_share: options.AuditShare = 0.1,
    blind_share: BlindShare = 0.0,
    overlap: Overlap = None,
    min_confidence: options.MinConfidence = 0.6,
    target_precision: options.TargetPrecision = None,
    project: options.Project = None,
    folder: options.ServerFolder = None,
    format_name: options.FormatName = None,
    column: options.Columns = None,
    as_json: options.Json = False,
) -> None:
    """Send the papers that are most worth a reviewer's time to Label Studio.

    Labelled papers are left out. A second push adds only new papers, and updates the tags on tasks
    that nobody has touched. With --target-precision, only papers with a tag that misses it are
    sent, and the audit sample.

    The audit sample is drawn by a hash of the title and sent without the model's tags. Its labels
    measure accuracy, calibrate and set thresholds. If it comes to a paper that a strategy chose
    earlier, that paper is sent again.

    Example: tagger review push monday.txt tuesday.txt --budget 20

    Example: tagger review push monday.txt tuesday.txt --audit 50

    With --strategy versions, papers on which two versions disagree are sent, without tags.

    Example: tagger review push monday.txt --strategy versions --against challenger
    """
    _check_strategy(strategy, against)
    read, problems = output.collect_pages(files, format_name, column)
    store = output.read_store(labels)
    server = _connect(folder)
    # If there is no model, no project is created.
    loaded = output.load_model_for(store, model, read.papers)
    other = output.load_model_named(against, read.papers) if against else None
    from tagger.review import PushSettings, Versions, load_strategy, open_project, push_papers

    target = open_project(server, store.taxonomy, project, create=True)
    rule, _ = output.review_rule(loaded, min_confidence, target_precision)
    budget, audit_share = (audit, 1.0) if audit else (budget, audit_share)
    chosen = Versions(rule, other) if other else load_strategy(strategy)
    doubtful_only = target_precision is not None
    settings = PushSettings(budget, chosen, audit_share, blind_share, rule, doubtful_only)
    if overlap:
        target.set_overlap(overlap)
    papers, known = output.papers_to_review(read), store.all_labels()
    with output.progress() as step:
        report = push_papers(
            papers, loaded, known, target, settings, progress=step, taxonomy=store.taxonomy
        )
    output.finish(asdict(report), problems, as_json, partial(_print_push, report))


@app.command()
def pull(
    labels: options.Labels = options.LABELS_FOLDER,
    conflicts: options.Conflicts = "latest",
    project: options.Project = None,
    folder: options.ServerFolder = None,
    as_json: options.Json = False,
) -> None:
    """Add the annotations of Label Studio to corrections.jsonl of the label folder.

    A second pull adds only new and changed annotations. Lines that you have edited stay. The exit
    code is 1 if reviewers disagree and the rule of --conflicts does not settle it.

    Example: tagger review pull --conflicts majority
    """
    store = output.read_store(labels)
    target = _open_project(store, project, folder)
    from tagger.cli.review_status import print_agreement, print_conflicts
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
        print_conflicts(report.conflicts)
        print_agreement(report.agreement)
        for problem in report.problems:
            output.echo(f"left out: {problem}", err=True)
    if any(not conflict.settled for conflict in report.conflicts):
        if not as_json:
            output.echo(f"Settle them in the tab 'conflicts': {target.url}")
        raise typer.Exit(1)


@app.command()
def status(
    labels: options.Labels = options.LABELS_FOLDER,
    conflicts: options.Conflicts = "latest",
    enough: options.Enough = None,
    confidence: Confidence = 0.95,
    more: More = 20,
    project: options.Project = None,
    folder: options.ServerFolder = None,
    as_json: options.Json = False,
) -> None:
    """Show the state of the review, how accurate the champion is, and whether that is enough.

    Accuracy is the share of papers of the audit sample with exactly the right tags, shown with its
    95% interval, the gain of the last version, and the expected gain from more labels. The command
    also shows how often reviewers removed or added each tag, how far they agree with each other,
    and whether they agree more with the model if they see its tags. It counts the annotations that
    were pulled. Without Label Studio it leaves out the numbers of tasks, and says so.

    Example: tagger review status --enough contribution=0.85 --confidence 0.95
    """
    store = output.read_store(labels)
    from tagger.cli import review_status as shown

    goals = shown.parse_goals(enough or [], confidence, store.taxonomy)
    tasks = address = left_out = None
    with output.working("Reading tasks"):
        try:
            target = _open_project(store, project, folder)
            address, (tasks, _) = target.url, target.tasks()
        except TaggerError as error:
            if project:
                raise
            left_out = f"Tasks in Label Studio are not counted: {error}"
    from tagger.review import review_status

    with output.needs_extra("review"):
        found = review_status(tasks, store.all_labels(), store.taxonomy, conflicts)
    with output.working("Measuring"):
        version, progress = shown.measure(store, conflicts, goals, more)
    if as_json:
        counted = {**asdict(found), "version": version, "progress": progress}
        output.print_json({**counted, "left_out": left_out})
    else:
        shown.print_status(found)
        for line in shown.progress_lines(found, version, progress, more):
            output.echo(line)
        if address:
            output.echo(address)
    if left_out and not as_json:
        output.echo(left_out, err=True)
    shown.exit_unless_enough(progress)


@app.command()
def strategies(as_json: options.Json = False) -> None:
    """List the strategies that choose papers for review, also those of other packages.

    Example: tagger review strategies
    """
    import inspect

    from tagger.review import Versions, load_strategy, strategy_names

    found: dict[str, type] = {name: type(load_strategy(name)) for name in strategy_names()}
    texts = {
        name: (inspect.getdoc(strategy) or "").split("\n\n")[0].replace("\n", " ")
        for name, strategy in {**found, "versions": Versions}.items()
    }
    if as_json:
        output.print_json(texts)
    else:
        for name, text in texts.items():
            output.echo(f"{name:14} {text}")


@app.command()
def backend(
    labels: options.Labels = options.LABELS_FOLDER,
    model: options.Model = "champion",
    host: BackendHost = "127.0.0.1",
    port: BackendPort = 9090,
    url: BackendUrl = None,
    train_after: TrainAfter = 0,
    conflicts: options.Conflicts = "latest",
    project: options.Project = None,
    folder: options.ServerFolder = None,
) -> None:
    """Serve predictions to Label Studio, and pull each annotation when it is finished.

    It connects itself to the project, and removes the connection when Ctrl+C ends it. A task
    without tags gets those of the model when somebody opens it.

    Example: tagger review backend --train-after 20
    """
    store = output.read_store(labels)
    target = _open_project(store, project, folder)
    from tagger.cli.backend import run_backend

    run_backend(store, target, model, (host, port), url, train_after, conflicts)


def send_rechecks(
    rechecks: Mapping[Paper, Recheck],
    model: TaggerModel,
    store: LabelStore,
    project: str | None,
    folder: Path | None,
) -> int:
    """Send papers to Label Studio again; return the number of new tasks."""
    target = _open_project(store, project, folder, create=True)
    from tagger.review import push_rechecks

    with output.progress() as step:
        return push_rechecks(rechecks, model, target, progress=step, taxonomy=store.taxonomy).new


def _check_strategy(name: str, against: str | None) -> None:
    """Refuse an unknown strategy before anything is read."""
    from tagger.review import load_strategy

    if (name == "versions") != (against is not None):
        raise TaggerError(
            "--strategy versions and --against VERSION belong together",
            hint="For example --strategy versions --model champion --against challenger",
        )
    if not against:
        load_strategy(name)


def _connect(folder: Path | None) -> Connection:
    from tagger.review import connect

    with output.needs_extra("review"):
        return connect(folder)


def _open_project(
    store: LabelStore, project: str | None, folder: Path | None, *, create: bool = False
) -> ReviewProject:
    from tagger.review import open_project

    return open_project(_connect(folder), store.taxonomy, project, create=create)


def _print_push(report: PushReport) -> None:
    from tagger.cli.review_status import in_queues
    from tagger.review import POOL_SIZE

    output.echo(f"{report.new} new papers sent{in_queues(report.queues)}")
    if report.candidates > POOL_SIZE:
        output.echo(f"chosen from {POOL_SIZE:,} of {report.candidates:,} papers, sampled at random")
    if report.refreshed:
        output.echo(f"{report.refreshed} waiting papers have the tags of the current model now")
    if report.moved:
        output.echo(f"{report.moved} of them now belong to the audit sample, without tags")
    if report.duplicates_removed:
        output.echo(f"{report.duplicates_removed} duplicate tasks removed")
    for change in report.interface_changes:
        output.echo(f"interface: {change}")
    for problem in report.problems:
        output.echo(f"not changed: {problem}", err=True)
    output.echo(f"{report.waiting} papers wait at {report.url}")
