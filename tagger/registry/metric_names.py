"""The names of figures in MLflow, which sorts by name: those that decide come first."""

from __future__ import annotations

from collections.abc import Sequence

from tagger.evaluation import (
    METRICS,
    Comparison,
    HeldOut,
    Sample,
    evaluate_samples,
)

_VERDICTS = {"better": 1.0, "no difference": 0.0, "worse": -1.0}


def held_out_metrics(out_of_fold: Sequence[HeldOut]) -> dict[str, float]:
    """Return the figures of all facets with their 95% intervals, under their names in MLflow.

    Those on reviewed papers are left out if too few were reviewed.
    """
    metrics = {}
    for found in evaluate_samples(out_of_fold):
        metrics[metric_name(found.sample, "papers", found.facet)] = float(found.papers)
        for figure, measured in found.figures.items():
            name = metric_name(found.sample, figure, found.facet)
            metrics[name] = measured.value
            metrics[f"interval/{name}/low"], metrics[f"interval/{name}/high"] = measured.interval
    return metrics


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

    They are on reviewed papers, or on seed labels if too few were reviewed. The second version also
    has the differences with their 95% intervals, and the verdict: 1 is better, 0 no difference, -1
    worse. Each pair of versions has names of its own, since its papers are others. They are short:
    MLflow cuts longer ones.
    """
    pair = " with ".join(name.split("/")[-1] for name in (comparison.before, comparison.after))
    before: dict[str, float] = {}
    after = {f"Compared/{pair}/Verdict": _VERDICTS[comparison.verdict]}
    for name, facet in comparison.main.items():
        sample = "seeds" if facet.sample == "seed" else "reviewed"
        place = f"Compared/{pair}/{name} on {sample}"
        before[f"{place}/papers"] = after[f"{place}/papers"] = float(facet.papers)
        for figure in ("macro_f1", "accuracy"):
            change, label = facet.figures[figure], METRICS[figure].logged_as
            before[f"{place}/{label}"], after[f"{place}/{label}"] = change.before, change.after
            after[f"{place}/{label} difference"] = change.difference
            low, high = change.interval
            after[f"{place}/{label} difference low"] = low
            after[f"{place}/{label} difference high"] = high
    return before, after
