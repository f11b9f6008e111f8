"""Metrics of predictions: what is logged, compared, reported and quoted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tagger._util.arrays import Booleans, Floats, Integers
from tagger.taxonomy import Facet

Interval = tuple[float, float]

BINS = 10
"""Bins of equal width that the calibration error is taken over."""
_BOOTSTRAP_SAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of one facet, 0 to 1: what people read, and its name in MLflow before the facet's.

    Commands, the report and the model card show it if it is ``shown``; MLflow always does.
    """

    label: str
    logged_as: str
    higher_is_better: bool = True
    shown: bool = True


METRICS = {
    # MLflow sorts by name, and a capital comes first.
    "macro_f1": Metric("macro-F1", "F1"),
    "accuracy": Metric("accuracy", "accuracy"),
    "micro_f1": Metric("micro-F1", "micro_f1"),
    "calibration_error": Metric("calibration error", "calibration_error", higher_is_better=False),
    "brier": Metric("Brier score", "score/brier", higher_is_better=False, shown=False),
}
"""All metrics of a facet, by their names in :func:`evaluate`."""
SHOWN_METRICS = {name: metric for name, metric in METRICS.items() if metric.shown}


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric's value and its 95% bootstrap interval."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Out-of-fold predictions: labelled papers in one facet, each predicted without it.

    ``y_true`` and the calibrated ``probabilities`` are of shape (papers, tags), in the order of the
    facet's ``tag_names``; ``folds``, from 1, say which fold held a paper out.
    """

    facet: Facet
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    folds: Integers
    y_true: Booleans
    probabilities: Floats

    @property
    def predicted(self) -> Booleans:
        """Tags that the model gives, shape (papers, tags)."""
        return predict_labels(self.facet, self.probabilities)

    @property
    def right(self) -> Booleans:
        """Whether a paper got exactly its tags, shape (papers,)."""
        return np.asarray((self.predicted == self.y_true).all(axis=1))

    def take(self, rows: Sequence[int] | Integers) -> HeldOut:
        """Return some of the papers, in the order of ``rows``."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            titles=tuple(self.titles[row] for row in rows),
            folds=self.folds[rows],
            y_true=self.y_true[rows],
            probabilities=self.probabilities[rows],
        )


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """Predictions per facet of models trained on this many labels, always for the same papers."""

    labels: int
    held_out: dict[str, HeldOut]


def predict_labels(facet: Facet, probabilities: Floats) -> Booleans:
    """Return the tags that probabilities lead to, shape (papers, tags).

    One tag a paper in an exclusive facet, else every tag at 0.5 or above.
    """
    if not facet.exclusive:
        return np.asarray(probabilities >= 0.5)
    assigned = np.zeros(probabilities.shape, dtype=bool)
    assigned[np.arange(len(probabilities)), probabilities.argmax(axis=1)] = True
    return assigned


def facet_confidence(facet: Facet, probabilities: Floats) -> Floats:
    """Return how confident a model is of each paper's tags in one facet, shape (papers,).

    It is the lowest over its tags of the probability of a tag that is given, and of 1 minus that
    of a tag that is not. In an exclusive facet that is the probability of the likeliest tag.
    """
    given = predict_labels(facet, probabilities)
    return np.asarray(np.where(given, probabilities, 1 - probabilities).min(axis=1, initial=1.0))


def evaluate(facet: Facet, y_true: Booleans, probabilities: Floats) -> dict[str, float]:
    """Measure predictions in one facet.

    Parameters
    ----------
    truth, probabilities:
        Shape (papers, tags).

    Returns
    -------
    dict
        Each of :data:`METRICS`, and ``f1/TAG`` for each tag, from 0 to 1. ``macro_f1`` and
        ``micro_f1`` are over tags, ``accuracy`` is the share of papers with exactly the right tags.
        Tags without a single paper in truth or prediction count in neither mean.

    Notes
    -----
    The calibration error is the mean distance between confidence and share of right answers over
    ten bins of equal width, weighted by their size (Naeini et al., "Obtaining Well Calibrated
    Probabilities Using Bayesian Binning", 2015): over the likeliest tag of each paper in an
    exclusive facet, over every paper and tag in any other. The Brier score (Brier, "Verification
    of forecasts expressed in terms of probability", 1950) is divided by the number of tags, so
    that facets of different size compare.
    """
    figures = weighted_figures(facet, y_true, probabilities, np.ones((1, len(y_true))))
    return {name: float(values[0]) for name, values in figures.items()}


def evaluate_with_intervals(held_out: HeldOut) -> dict[str, Figure]:
    """Return the figures of :func:`evaluate` with their intervals."""
    answers = held_out.facet, held_out.y_true, held_out.probabilities
    draws = weighted_figures(*answers, bootstrap_weights(len(held_out.ids)))
    return {
        name: Figure(value, interval(draws[name])) for name, value in evaluate(*answers).items()
    }


def bootstrap_weights(papers: int) -> Floats:
    """Draw how often each paper stands in each bootstrap sample, shape (2000, papers).

    Two models measured with the same weights are compared paper by paper. Efron, "Bootstrap
    Methods: Another Look at the Jackknife" (1979).
    """
    share = np.full(papers, 1 / max(papers, 1))
    return (
        np.random.default_rng(0).multinomial(papers, share, _BOOTSTRAP_SAMPLES).astype(np.float64)
    )


def interval(values: Floats) -> Interval:
    """Return the 95% percentile interval of bootstrap values, shape (samples,)."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def weighted_figures(
    facet: Facet, y_true: Booleans, probabilities: Floats, weights: Floats
) -> dict[str, Floats]:
    """Return the figures of :func:`evaluate` for many weightings, each of shape (samples,).

    ``weights`` say how often each paper counts, shape (samples, papers).
    """
    predicted = predict_labels(facet, probabilities)
    hits = weights @ (y_true & predicted)
    # F1 = 2 hits / (papers that have the tag + papers that were given it)
    either = weights @ y_true + weights @ predicted
    per_tag = 2 * hits / np.maximum(either, 1)
    seen = either > 0
    total = np.maximum(weights.sum(axis=1), 1)
    error, brier = _gaps(facet, y_true, probabilities), (probabilities - y_true) ** 2
    figures = {
        "accuracy": weights @ (y_true == predicted).all(axis=1) / total,
        "macro_f1": (per_tag * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1),
        "micro_f1": 2 * hits.sum(axis=1) / np.maximum(either.sum(axis=1), 1),
        "calibration_error": np.abs(weights @ error).sum(axis=1) / total,
        "brier": weights @ brier.mean(axis=1) / total,
    }
    for tag, values in zip(facet.tag_names, per_tag.T, strict=True):
        figures[f"f1/{tag}"] = values
    return {name: np.asarray(values) for name, values in figures.items()}


def confidences(facet: Facet, y_true: Booleans, probabilities: Floats) -> tuple[Floats, Booleans]:
    """Return what a calibration error is taken over: confidence, and whether it is right.

    Both of shape (papers, 1), of the likeliest tag, in an exclusive facet; of shape (papers, tags)
    in any other.
    """
    if not facet.exclusive:
        return probabilities, y_true
    best = probabilities.argmax(axis=1)[:, None]
    return np.take_along_axis(probabilities, best, 1), np.take_along_axis(y_true, best, 1)


def _gaps(facet: Facet, y_true: Booleans, probabilities: Floats) -> Floats:
    """Return the mean confidence minus accuracy of each paper in each bin, shape (papers, bins)."""
    confidence, right = confidences(facet, y_true, probabilities)
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    in_bin = number[:, :, None] == np.arange(BINS)
    gap = (confidence - right)[:, :, None] * in_bin
    return np.asarray(gap.sum(axis=1) / max(confidence.shape[1], 1))
