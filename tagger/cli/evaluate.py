"""``tagger evaluate``: how good a model is on papers that arrived."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import options, output

if TYPE_CHECKING:
    from tagger.evaluation import FacetComparison
    from tagger.registry import Evaluation, FacetEvaluation

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A version (7), an alias, the id of a training run, the folder of a model, or "
        "'shipped'. By default the champion, and the challenger against it.",
    ),
]
Against = Annotated[str | None, typer.Option(help="A second model, evaluated on the same papers.")]
LabelsOrFile = Annotated[
    Path,
    typer.Option(
        "--labels", "-l", help="The label folder, or a file of labels that no model was trained on."
    ),
]


def evaluate(
    model: Model = None,
    against: Against = None,
    labels: LabelsOrFile = options.LABELS_FOLDER,
    texts: options.Texts = None,
    conflicts: options.Conflicts = "latest",
    as_json: options.Json = False,
) -> None:
    """Evaluate a model on papers that arrived, with intervals: the audit sample, if there is one.

    You see accuracy, F1 of each tag, calibration error, and coverage: the share of papers that need
    no review, and how many of these are right. Figures on seed labels follow. A paper that a
    model was trained on has the tags that it got in cross-validation. All intervals are of 95%.

    Example: tagger evaluate --model champion --against challenger
    """
    registry = output.open_registry()
    from tagger.registry import evaluate_models

    if model is None and against is None:
        challenger = registry.challenger()
        # An alias that was moved by hand may name the same version twice.
        against = "challenger" if challenger not in (None, registry.champion()) else None
    names = [model or "champion", *([against] if against else [])]
    papers = output.read_texts(texts or [])
    with output.working("Evaluating"):
        found = evaluate_models(registry, names, labels, papers, conflicts)
    if as_json:
        comparison = found.comparison and found.comparison.as_dict()
        output.print_json({"models": found.models, "comparison": comparison})
    else:
        _print(found)


def _print(found: Evaluation) -> None:
    from tagger.evaluation import UNKNOWN

    differences = found.comparison.facets if found.comparison else ()
    by_part = {(one.facet, one.sample): one for one in differences}
    for parts in zip(*(model.facets for model in found.models), strict=True):
        measured = parts[0].measured
        change = by_part.get((measured.facet, measured.sample))
        _print_part([model.model for model in found.models], parts, change)
    facets = dict.fromkeys(part.measured.facet for part in found.models[0].facets)
    known = {one.measured.facet for one in found.models[0].facets if one.measured.sample != "seed"}
    for name in facets:
        if name not in known:
            output.echo(f"{name}: {UNKNOWN}")


def _print_part(
    models: list[str], parts: tuple[FacetEvaluation, ...], change: FacetComparison | None
) -> None:
    from tagger.cli.console import print_table
    from tagger.evaluation import SHOWN_METRICS

    measured = parts[0].measured
    numbers = [*models, *(["difference"] if change else [])]
    rows = []
    for name, metric in SHOWN_METRICS.items():
        row = [metric.label, *(output.in_words(part.measured.figures[name]) for part in parts)]
        if change:
            figure = change.figures[name]
            low, high = figure.interval
            row.append(f"{figure.difference:+.2f} ({low:+.2f} to {high:+.2f})")
        rows.append(row)
    blank = [""] if change else []
    for label, name in (("need no review", "coverage"), ("of these right", "covered_accuracy")):
        rows.append([label, *(output.in_words(getattr(part, name)) for part in parts), *blank])
    for tag, count in measured.labels.items():
        figures = [output.in_words(part.measured.figures[f"f1/{tag}"]) for part in parts]
        rows.append([f"F1 of {tag} ({count})", *figures, *blank])
    title = f"{measured.facet}, on {measured.measured_on}"
    print_table(("", *numbers), rows, numbers, title)
    for model, part in zip(models, parts, strict=True):
        output.echo(f"{model}: {part.out_of_fold} of these papers have out-of-fold predictions")
