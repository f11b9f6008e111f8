"""Predict from a version's learning curve how much more labels of each tag would help."""

from __future__ import annotations

from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError
from tagger.evaluation import (
    Figure,
    Interval,
    SampleFigures,
    evaluate_samples,
    learning_curve_figure,
)
from tagger.registry.predictions import training_data
from tagger.registry.training_run import settings_of
from tagger.registry.versions import Registry, Version
from tagger.training import (
    EncoderCache,
    TagPlan,
    learning_exponent,
    measure_learning_curve,
    plan_tag,
)

_EXPONENT = "learning_exponent"


def plan_labels(
    registry: Registry,
    version: Version,
    more: int,
    progress: Progress = no_progress,
    cache: EncoderCache | None = None,
) -> tuple[list[TagPlan], dict[str, SampleFigures]]:
    """Return the expected gain in F1 from ``more`` labels of each tag, largest gain first.

    Also returns the figures of each facet that the present F1 is taken from: those on reviewed
    papers, or on seed labels if too few were reviewed. The learning curve is computed at the first
    call and logged with the run of the version. Raises a TaggerError if the version was trained on
    too few labels for a learning curve.
    """
    out_of_fold = registry.held_out(version)
    metrics = registry.run(version).data.metrics
    if any(f"{_EXPONENT}/{facet}" not in metrics for facet in out_of_fold):
        metrics = _log_learning_curve(registry, version, progress, cache)
    plans, measured = [], {}
    for each in reversed(evaluate_samples(out_of_fold.values())):
        measured[each.facet] = each  # reviewed papers come last
    for facet, held_out in out_of_fold.items():
        low, high = (metrics[f"interval/{_EXPONENT}/{facet}/{end}"] for end in ("low", "high"))
        exponent = Figure(metrics[f"{_EXPONENT}/{facet}"], (low, high))
        for tag, count in zip(held_out.facet.tag_names, held_out.y_true.sum(axis=0), strict=True):
            f1 = measured[facet].figures[f"f1/{tag}"].value
            plans.append(plan_tag(facet, tag, int(count), f1, exponent, more))
    plans.sort(key=lambda plan: -1 if plan.gain is None else -1 - plan.gain)
    return plans, measured


def learning_exponents(registry: Registry, version: Version) -> dict[str, Interval]:
    """Return the interval of the learning exponent per facet, if the curve has been computed."""
    run = registry.runs([version]).get(version.run_id)
    metrics = run.data.metrics if run else {}
    prefix, low, high = f"interval/{_EXPONENT}/", "/low", "/high"
    return {
        name.removeprefix(prefix).removesuffix(low): (value, metrics[name.removesuffix(low) + high])
        for name, value in metrics.items()
        if name.startswith(prefix) and name.endswith(low)
    }


def _log_learning_curve(
    registry: Registry, version: Version, progress: Progress, cache: EncoderCache | None
) -> dict[str, float]:
    data, settings = training_data(registry, version), settings_of(registry, version)
    out_of_fold = registry.held_out(version)
    points = measure_learning_curve(data, settings, out_of_fold, progress, cache)
    metrics: dict[str, float] = {}
    for facet in out_of_fold:
        exponent = learning_exponent(points, facet)
        if exponent is None:
            raise TaggerError(
                f"{version.name} was trained on too few labels of '{facet}' for a learning curve",
                hint="Label more papers, then train again",
            )
        metrics[f"{_EXPONENT}/{facet}"] = exponent.value
        for end, value in zip(("low", "high"), exponent.interval, strict=True):
            metrics[f"interval/{_EXPONENT}/{facet}/{end}"] = value
    with registry.store.writing() as client:
        client.log_figure(version.run_id, learning_curve_figure(points), "learning_curve.png")
        for name, value in metrics.items():
            client.log_metric(version.run_id, name, value)
    return metrics
