"""What more labels should bring, read from the run that trained a version."""

from __future__ import annotations

from tagger.errors import TaggerError
from tagger.evaluation import HeldOut
from tagger.label_plan import Exponent, TagPlan, learning_exponent, plan_tag
from tagger.registry.versions import Registry, Version
from tagger.training import LearningPoint

_EXPONENT = "learning_exponent"


def exponent_metrics(
    points: tuple[LearningPoint, ...], out_of_fold: tuple[HeldOut, ...]
) -> dict[str, float]:
    """Return the exponents of the learning curve as metrics; none of facets that it cannot tell.

    Parameters
    ----------
    points:
        The learning curve.
    out_of_fold:
        One a facet.
    """
    metrics: dict[str, float] = {}
    for facet in [held_out.facet.name for held_out in out_of_fold]:
        exponent = learning_exponent(points, facet)
        if exponent is None:
            continue
        metrics[f"{_EXPONENT}/{facet}"] = exponent.value
        metrics[f"interval/{_EXPONENT}/{facet}/low"] = exponent.interval[0]
        metrics[f"interval/{_EXPONENT}/{facet}/high"] = exponent.interval[1]
    return metrics


def plan_labels(registry: Registry, version: Version, more: int) -> list[TagPlan]:
    """Return what more labels of each tag should bring, most first.

    Parameters
    ----------
    registry, version:
        What was trained.
    more:
        Labels of a tag to come.

    Raises
    ------
    TaggerError
        If the version was trained without a learning curve, or on too few labels for one.
    """
    metrics = registry.run(version).data.metrics
    plans = []
    for held_out in registry.held_out(version).values():
        facet = held_out.facet.name
        try:
            exponent = Exponent(
                metrics[f"{_EXPONENT}/{facet}"],
                (
                    metrics[f"interval/{_EXPONENT}/{facet}/low"],
                    metrics[f"interval/{_EXPONENT}/{facet}/high"],
                ),
            )
        except KeyError as error:
            raise TaggerError(
                f"the run of {version.name} has no learning curve of '{facet}' to tell what more "
                "labels bring",
                hint="Train anew without --no-learning-curve or --compatible-with, on more labels "
                "if they are very few",
            ) from error
        for tag in held_out.facet.tag_names:
            labels, f1 = (metrics[f"{name}/{facet}/{tag}"] for name in ("tag_labels", "tag_f1"))
            plans.append(plan_tag(facet, tag, int(labels), f1, exponent, more))
    return sorted(plans, key=lambda plan: -1 if plan.gain is None else -1 - plan.gain)
