"""The names of figures in MLflow, which sorts by name: those that decide come first.

Metrics are computed and listed in :mod:`tagger.evaluation.metrics`, with their names here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tagger.evaluation import METRICS, Comparison, Figure, HeldOut, Sample, evaluate_samples

_VERDICTS = {"better": 1.0, "no difference": 0.0, "worse": -1.0}


def held_out_metrics(out_of_fold: Sequence[HeldOut]) -> dict[str, float]:
    """Return the figures of all facets with their 95% intervals, under their names in MLflow.

    Those on few reviewed papers are left out where there are seed labels.
    """
    metrics = {}
    for found in evaluate_samples(out_of_fold):
        metrics[metric_name(found.sample, "papers", found.facet)] = float(found.papers)
        for figure, measured in found.figures.items():
            metrics |= with_interval(metric_name(found.sample, figure, found.facet), measured)
    return metrics


def with_interval(name: str, figure: Figure) -> dict[str, float]:
    """Return a figure and the ends of its interval, under their names in MLflow."""
    low, high = figure.interval
    return {name: figure.value, f"interval/{name}/low": low, f"interval/{name}/high": high}


def read_figures(metrics: Mapping[str, float], prefix: str) -> dict[str, Figure]:
    """Return the figures whose names in MLflow begin with ``prefix``, by the rest of the name.

    A figure that was logged without its interval, because the command was killed, is left out.
    """
    return {
        name.removeprefix(prefix): Figure(
            value, (metrics[f"interval/{name}/low"], metrics[f"interval/{name}/high"])
        )
        for name, value in sorted(metrics.items())
        if name.startswith(prefix) and f"interval/{name}/high" in metrics
    }


def metric_name(sample: Sample, figure: str, facet: str) -> str:
    """Return the name in MLflow of a figure of :func:`tagger.evaluation.evaluate`.

    MLflow sorts by name: capital letters put reviewed papers first, then seed labels.
    """
    kind = "Seed" if sample == "seed" else "Reviewed"
    if figure.startswith("f1/"):
        return f"{kind}/tag_f1/{facet}/{figure.removeprefix('f1/')}"
    return f"{kind}/{METRICS[figure].logged_as if figure in METRICS else figure}/{facet}"


def comparison_metrics(comparison: Comparison) -> tuple[dict[str, float], dict[str, float]]:
    """Return the figures of two versions on the same papers, under their names in MLflow.

    They are on reviewed papers, or on seed labels if too few were reviewed: macro-F1, its gain, and
    the verdict, which is 1 if the second version is better, -1 if it is worse. Gain and verdict of
    the first version are 0. Each pair of versions has names of its own, since its papers are
    others. MLflow's view cuts names longer than about 24 letters, so names on reviewed papers leave
    out what they are on; it sorts digits first.
    """
    pair = " vs ".join(name.split("/")[-1] for name in (comparison.before, comparison.after))
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    for name, facet in comparison.main.items():
        place, counted = (
            (f"{pair} seeds", "Papers") if facet.sample == "seed" else (pair, "Reviewed")
        )
        change, papers = facet.figures["macro_f1"], float(facet.papers)
        for key, first, second in (
            ("Better 1 worse -1", 0.0, _VERDICTS[comparison.verdict]),
            (f"F1 {name}", change.before, change.after),
            (f"{counted} {name}", papers, papers),
        ):
            before[f"{place}/{key}"], after[f"{place}/{key}"] = first, second
        gain = f"{place}/Gain {name}"
        before[gain] = 0.0
        after |= with_interval(gain, Figure(change.difference, change.interval))
    return before, after
