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
from tagger.registry.metric_names import read_figures, with_interval
from tagger.registry.predictions import training_data
from tagger.registry.training_run import settings_of, updates_shipped_model
from tagger.registry.versions import Registry, Version
from tagger.training import (
    EncoderCache,
    TagPlan,
    learning_exponent,
    measure_learning_curve,
    plan_tag,
)

_EXPONENT = "learning_exponent/"


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
    call and logged with the run of the version. A facet with too few labels for one has no expected
    gains. Raises a TaggerError if all facets have too few, or the version is an update of the model
    that ships with tagger.
    """
    out_of_fold = registry.held_out(version)
    exponents = read_figures(registry.run(version).data.metrics, _EXPONENT)
    if not exponents:
        exponents = _log_learning_curve(registry, version, progress, cache)
    plans, measured = [], {}
    for each in reversed(evaluate_samples(out_of_fold.values())):
        measured[each.facet] = each  # reviewed papers come last
    for facet, held_out in out_of_fold.items():
        for tag, count in zip(held_out.facet.tag_names, held_out.y_true.sum(axis=0), strict=True):
            f1 = measured[facet].figures[f"f1/{tag}"].value
            if exponent := exponents.get(facet):
                plans.append(plan_tag(facet, tag, int(count), f1, exponent, more))
            else:
                plans.append(TagPlan(facet, tag, int(count), f1, None, None))
    plans.sort(key=lambda plan: -1 if plan.gain is None else -1 - plan.gain)
    return plans, measured


def learning_exponents(registry: Registry, version: Version) -> dict[str, Interval]:
    """Return the interval of the learning exponent per facet, if the curve has been computed."""
    run = registry.runs([version]).get(version.run_id)
    exponents = read_figures(run.data.metrics if run else {}, _EXPONENT)
    return {facet: exponent.interval for facet, exponent in exponents.items()}


def _log_learning_curve(
    registry: Registry, version: Version, progress: Progress, cache: EncoderCache | None
) -> dict[str, Figure]:
    if updates_shipped_model(registry, version):
        raise TaggerError(
            f"{version.name} has the encoder that ships with tagger, which has no learning curve",
            hint="Train an encoder of your own: tagger train",
        )
    data, settings = training_data(registry, version), settings_of(registry, version)
    if settings.recipe == "from-setfit":
        raise TaggerError(
            f"{version.name} has the head of a SetFit checkpoint, which does not learn from labels",
            hint="Train a head of your own: tagger train --recipe frozen --encoder CHECKPOINT",
        )
    out_of_fold = registry.held_out(version)
    points = measure_learning_curve(data, settings, out_of_fold, progress, cache)
    fitted = {facet: learning_exponent(points, facet) for facet in out_of_fold}
    exponents = {facet: exponent for facet, exponent in fitted.items() if exponent}
    if not exponents:
        raise TaggerError(
            f"{version.name} was trained on too few labels for a learning curve",
            hint="Label more papers, then train again",
        )
    with registry.store.writing() as client:
        client.log_figure(version.run_id, learning_curve_figure(points), "learning_curve.png")
        for facet, exponent in exponents.items():
            for name, value in with_interval(f"{_EXPONENT}{facet}", exponent).items():
                client.log_metric(version.run_id, name, value)
    return exponents
