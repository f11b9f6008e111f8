"""``tagger labels``: audit labels, and choose what to label next."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import options, output
from tagger.cli.review import send_rechecks
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tagger.labels import Label, SuspectLabel
    from tagger.papers import Paper
    from tagger.review import Recheck
    from tagger.training import TagPlan

app = typer.Typer(
    no_args_is_help=True, help="Find wrong labels, and choose which papers to label next."
)

Contradiction = Annotated[
    float,
    typer.Option(
        min=0.5, max=1.0, help="List a label if the model contradicts it with this confidence."
    ),
]
RecheckOption = Annotated[
    bool, typer.Option("--recheck", help="Send the suspect labels to Label Studio.")
]
Count = Annotated[int, typer.Argument(min=1, metavar="N", help="Number of papers to suggest.")]
More = Annotated[int, typer.Option(min=1, help="Number of further labels of each tag.")]


@app.command()
def audit(
    labels: options.Labels = options.LABELS_FOLDER,
    model: options.Version = "champion",
    min_confidence: Contradiction = 0.7,
    conflicts: options.Conflicts = "latest",
    recheck: RecheckOption = False,
    project: options.Project = None,
    folder: options.ServerFolder = None,
    as_json: options.Json = False,
) -> None:
    """List labels that the model contradicts although it was trained without them.

    The predictions are out-of-fold predictions of the cross-validation. For labels that are newer
    than the model, they are predictions of the model. Seed labels of one paper that differ are
    listed, too. No label is changed. With --recheck the papers go to Label Studio, and 'tagger
    review pull' brings the answers home. The exit code is 1 if there are suspect labels.

    Example: tagger labels audit --labels labels
    """
    from tagger.labels import LabelStore
    from tagger.registry import Registry, audit_labels

    store = LabelStore(labels)
    if Path(model).is_dir():
        raise TaggerError(
            "the folder of a model has no out-of-fold predictions",
            path=Path(model),
            hint="Name a version with --model, such as champion; 'tagger train' makes the first",
        )
    registry = Registry()
    version = registry.find(model)
    merged = store.labels(conflicts)
    contradictions = output.warn_of_contradictions(store.all_labels())
    with output.working("Reading labels"):
        loaded = output.load_model_for(store, version.name)
        with output.needs_extra("review"):
            suspects = audit_labels(registry, version, loaded, merged, min_confidence)
    pushed = 0
    if recheck and suspects:
        rechecks = _rechecks(suspects, merged)
        pushed = send_rechecks(rechecks, loaded, store, project, folder)
    if as_json:
        counts = {"labels": len(merged), "suspects": suspects, "pushed": pushed}
        output.print_json({"model": version.name, **counts, "contradictions": contradictions})
    else:
        _print_suspects(suspects)
        output.echo(f"{version.name} contradicts {len(suspects)} of {len(merged)} labels")
        if recheck:
            output.echo(f"{pushed} papers sent to Label Studio to be rechecked")
        elif suspects:
            output.echo("Nothing was changed. To recheck them, add --recheck to this command")
    if suspects:
        raise typer.Exit(1)


@app.command()
def suggest(
    count: Count,
    files: options.Files,
    labels: options.Labels = options.LABELS_FOLDER,
    encoder: options.Encoder = options.BUNDLED_ENCODER,
    format_name: options.FormatName = None,
    column: options.Columns = None,
    as_json: options.Json = False,
) -> None:
    """Suggest which papers to label first, when there are few labels or none.

    It chooses papers that are similar to many others and unlike the labelled ones. It needs no
    trained model. With a trained model, use 'tagger review push', which sends the papers that the
    model is unsure of.

    Example: tagger labels suggest 20 monday.txt
    """
    from tagger.labels import LabelStore, labelled_papers

    store = LabelStore(labels)
    labelled = labelled_papers(store.all_labels())
    papers, problems = output.read_pages(files, format_name, column)
    with output.needs_extra("train"):
        from tagger.model import DEFAULT_MAX_TOKENS
        from tagger.review import suggest_papers
        from tagger.training import TorchEncoder, load_trainable

        loaded = TorchEncoder(load_trainable(encoder, DEFAULT_MAX_TOKENS))
        with output.progress() as step:
            read = partial(step, "Reading papers")
            chosen = suggest_papers(papers, labelled, store.taxonomy, loaded, count, read)
    content = {"labelled": len(labelled), "papers": output.paper_rows(chosen)}
    output.finish(content, problems, as_json, partial(_print_suggested, chosen))


def _print_suggested(chosen: Sequence[Paper]) -> None:
    if not chosen:
        output.echo("All of these papers are labelled.")
    for paper in chosen:
        output.echo(f"{paper.title} ({', '.join(paper.sources)})")


@app.command()
def plan(
    more: More = 20, model: options.Version = "champion", as_json: options.Json = False
) -> None:
    """Estimate what more labels of each tag will bring, largest gain first.

    The estimate extrapolates the learning curve of a version. The interval is that of the slope of
    the curve. The first call trains encoders on a quarter and on half of the labels; later calls
    reuse the curve.

    Example: tagger labels plan --more 20
    """
    registry = output.open_registry()
    from tagger.registry import plan_labels
    from tagger.training import default_encoder_cache

    version = registry.find(model)
    with output.progress() as step:
        plans, measured = plan_labels(registry, version, more, step, default_encoder_cache())
    if as_json:
        tags = [{**asdict(one), "gain": one.gain} for one in plans]
        places = {name: one.measured_on for name, one in measured.items()}
        content = {"model": version.name, "more": more, "tags": tags, "measured_on": places}
        output.print_json(content)
    else:
        _print_plans(plans, f"F1 of {version.name}, and with {more} more labels of a tag")
        output.print_samples(measured.values())


def _rechecks(suspects: Sequence[SuspectLabel], labels: Sequence[Label]) -> dict[Paper, Recheck]:
    """Return each suspect paper with the facets to look at.

    Neither the label nor the prediction is named: it would influence the reviewer.
    """
    from tagger.review import Recheck

    papers = {label.id: label.paper for label in labels}
    facets: dict[str, list[str]] = {}
    for suspect in suspects:
        facets.setdefault(suspect.id, []).append(suspect.facet)
    return {
        papers[paper]: Recheck(f"Recheck: look at {', '.join(names)}.", tuple(names))
        for paper, names in facets.items()
    }


def _print_suspects(suspects: Sequence[SuspectLabel]) -> None:
    from tagger.cli.console import print_table

    rows = []
    for one in suspects:
        label, suggested = (", ".join(tags) or "-" for tags in (one.given, one.suggested))
        rows.append((one.title, one.facet, label, suggested, f"{one.confidence:.2f}"))
    if rows:
        print_table(("paper", "facet", "label", "model", "confidence"), rows, ("confidence",))


def _print_plans(plans: Sequence[TagPlan], title: str) -> None:
    from tagger.cli.console import print_table

    rows = []
    for one in plans:
        expected, gain = "too few labels", ""
        if one.expected_f1 is not None and one.interval and one.gain is not None:
            low, high = one.interval
            expected, gain = f"{one.expected_f1:.2f} ({low:.2f} to {high:.2f})", f"{one.gain:+.2f}"
        rows.append((one.facet, one.tag, str(one.labels), f"{one.f1:.2f}", expected, gain))
    numbers = ("labels", "F1", "F1 with more", "gain")
    print_table(("facet", "tag", *numbers), rows, numbers, title)
