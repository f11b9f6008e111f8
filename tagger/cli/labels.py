"""``tagger labels``: look after the labels."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import output
from tagger.cli.review import send_rechecks
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from tagger.labels import Label
    from tagger.model import TaggerModel
    from tagger.registry import Registry, Version

app = typer.Typer(no_args_is_help=True, help="Look after the labels.")

_VersionOption = Annotated[
    str, typer.Option("--model", "-m", help="A version (7) or an alias (champion).")
]


@app.command()
def audit(
    labels: output.LabelsOption = Path("labels"),
    model: _VersionOption = "champion",
    min_confidence: Annotated[
        float,
        typer.Option(min=0.5, max=1.0, help="Smallest confidence with which a model contradicts."),
    ] = 0.7,
    conflicts: output.ConflictsOption = "latest",
    recheck: Annotated[
        bool, typer.Option("--recheck", help="Send the suspects to Label Studio.")
    ] = False,
    project: output.ProjectOption = None,
    folder: output.FolderOption = output.LABEL_STUDIO_FOLDER,
    as_json: output.JsonOption = False,
) -> None:
    """List labels that the model contradicts, though it had not seen them.

    What the model says of each label comes from a fold of its cross-validation that was trained
    without it, or from the model itself if the label is younger. Nothing is changed: with
    --recheck the suspects go to Label Studio, and come back with 'tagger review pull'. The exit
    code is 1 if there are suspects.

    Example: tagger labels audit --labels labels
    """
    from tagger.labels import LabelStore, find_suspect_labels
    from tagger.registry import Registry

    store = LabelStore(labels)
    if Path(model).is_dir():
        raise TaggerError(
            "is a folder, which keeps no answers on papers that a model had not seen",
            path=Path(model),
            hint="Name a version with --model; 'tagger train' makes the first",
        )
    registry = Registry()
    version = registry.find(model)
    merged = store.labels(conflicts)
    with output.working("Reading labels"):
        loaded = output.load_model_for(store, version.name)
        probabilities = _unseen_probabilities(merged, registry, version, loaded)
        with output.needs_extra("review"):
            suspects = find_suspect_labels(merged, probabilities, loaded.taxonomy, min_confidence)
    pushed = 0
    if recheck and suspects:
        papers = {label.id: label.paper for label in merged}
        facets: dict[str, list[str]] = {}
        for suspect in suspects:
            facets.setdefault(suspect.id, []).append(suspect.facet)
        # Neither the label nor the model's answer is named: they would lead.
        rechecks = {
            papers[name]: f"Recheck: look at {', '.join(found)}." for name, found in facets.items()
        }
        pushed = send_rechecks(rechecks, loaded, store, project, folder)
    if as_json:
        counts = {"labels": len(merged), "suspects": suspects, "pushed": pushed}
        output.print_json({"model": version.name, **counts})
    else:
        from tagger.cli.console import print_table

        rows = []
        for one in suspects:
            given, suggested = (", ".join(tags) or "-" for tags in (one.given, one.suggested))
            rows.append((one.title, one.facet, given, suggested, f"{one.confidence:.2f}"))
        if rows:
            print_table(("paper", "facet", "label", "model", "confidence"), rows, ("confidence",))
        output.echo(f"{len(suspects)} of {len(merged)} labels are contradicted by {version.name}")
        if recheck:
            output.echo(f"{pushed} papers sent to Label Studio to be rechecked")
        elif suspects:
            output.echo("Nothing was changed. To recheck them: tagger labels audit --recheck")
    if suspects:
        raise typer.Exit(1)


@app.command()
def suggest(
    count: Annotated[int, typer.Argument(min=1, metavar="N", help="How many papers.")],
    files: output.FilesArgument,
    labels: output.LabelsOption = Path("labels"),
    encoder: output.EncoderOption = "bundled-minilm",
    format_name: output.FormatOption = None,
    column: output.ColumnOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Say which papers to label first, when there are few labels or none.

    Papers that stand for many others are chosen, out of all that the labels there are do not cover.
    It needs no trained model; once there is one, 'tagger review push' asks about what it is unsure
    of.

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
    if as_json:
        output.print_json({"labelled": len(labelled), "papers": output.paper_rows(chosen)})
    else:
        if not chosen:
            output.echo("All of these papers are labelled.")
        for paper in chosen:
            output.echo(f"{paper.title} ({', '.join(paper.sources)})")
    if problems:
        raise typer.Exit(2)


@app.command()
def plan(
    more: Annotated[int, typer.Option(min=1, help="Labels of each tag to come.")] = 20,
    model: _VersionOption = "champion",
    as_json: output.JsonOption = False,
) -> None:
    """Say what more labels of each tag should bring, most first.

    From the learning curve of a version: how its error falls with the labels. The first time,
    four encoders are trained for it, on a quarter and on half of the labels; later it is known. It
    is an extrapolation; the interval is that of the curve's slope.

    Example: tagger labels plan --more 20
    """
    registry = output.open_registry()
    from tagger.registry import plan_labels
    from tagger.training import default_encoder_cache

    version = registry.find(model)
    with output.progress() as step:
        plans = plan_labels(registry, version, more, step, default_encoder_cache())
    if as_json:
        tags = [{**asdict(one), "gain": one.gain} for one in plans]
        output.print_json({"model": version.name, "more": more, "tags": tags})
        return
    from tagger.cli.console import print_table

    rows = []
    for one in plans:
        expected, gain = "too few labels to tell", ""
        if one.expected_f1 is not None and one.interval and one.gain is not None:
            low, high = one.interval
            expected, gain = f"{one.expected_f1:.2f} ({low:.2f} to {high:.2f})", f"{one.gain:+.2f}"
        rows.append((one.facet, one.tag, str(one.labels), f"{one.f1:.2f}", expected, gain))
    numbers = ("labels", "F1", "F1 with more", "gain")
    title = f"What {more} more labels of a tag should bring to {version.name}"
    print_table(("facet", "tag", *numbers), rows, numbers, title)


def _unseen_probabilities(
    labels: list[Label], registry: Registry, version: Version, model: TaggerModel
) -> dict[str, dict[str, list[float]]]:
    """Return what the model says of each label from outside its training."""
    probabilities = {
        name: dict(zip(held_out.ids, held_out.probabilities.tolist(), strict=True))
        for name, held_out in registry.held_out(version).items()
    }
    seen = {name for papers in probabilities.values() for name in papers}
    younger = [label.paper for label in labels if label.id not in seen]
    for name, rows in model.predict_proba(younger).items():
        for paper, row in zip(younger, rows, strict=True):
            probabilities[name][paper.id] = [float(p) for p in row]
    return probabilities
