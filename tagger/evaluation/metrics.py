"""Metrics of predictions, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Booleans, Floats, Integers
from tagger.taxonomy import Facet

Interval = tuple[float, float]

DEFAULT_THRESHOLD = 0.5
"""Probability from which a tag is predicted where no threshold was chosen for its facet."""
BINS = 10
"""Number of equal-width confidence bins of the calibration error."""
ENOUGH_LABELS = 5
"""A tag that fewer papers have, or fewer do not have, is left out of macro-F1, and its probability
is capped."""
_BOOTSTRAP_SAMPLES = 2000
_LEAST_WEIGHT = 1e-12
"""Avoids a division by zero; the weights of all papers may add up to less than 1."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of one facet, from 0 to 1.

    ``label`` is its name for people; MLflow logs it as ``logged_as/FACET``. Commands, the report
    and the model card show only metrics that are ``shown``.
    """

    label: str
    logged_as: str
    higher_is_better: bool = True
    shown: bool = True


METRICS = {
    # MLflow sorts by name: a capital letter puts macro-F1 first.
    "macro_f1": Metric("macro-F1", "F1"),
    "accuracy": Metric("accuracy", "accuracy"),
    "micro_f1": Metric("micro-F1", "micro_f1"),
    "calibration_error": Metric("calibration error", "calibration_error", higher_is_better=False),
    "brier": Metric("Brier score", "score/brier", higher_is_better=False, shown=False),
}
"""All metrics of a facet, keyed by their names in :func:`evaluate`."""
SHOWN_METRICS = {name: metric for name, metric in METRICS.items() if metric.shown}


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric's value and its 95% interval."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Out-of-fold predictions of labelled papers in one facet.

    ``y_true`` and the calibrated ``probabilities`` have shape (papers, tags), in the order of the
    facet's ``tag_names``. ``folds`` holds the fold that held each paper out, counted from 1. In a
    facet that is not exclusive, tags are predicted from ``threshold`` on. ``folds`` is 0 for a
    paper that the model was trained without and predicted itself. ``samples`` has the
    :data:`tagger.evaluation.Sample` of each paper, by default ``seed``. ``capped`` are the tags of
    which the model has too few labels: papers that get one go to review.
    """

    facet: Facet
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    folds: Integers
    y_true: Booleans
    probabilities: Floats
    threshold: float = DEFAULT_THRESHOLD
    samples: npt.NDArray[np.str_] = field(default_factory=lambda: np.array([], dtype=str))
    capped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.samples) != len(self.ids):
            object.__setattr__(self, "samples", np.full(len(self.ids), "seed"))

    @property
    def predicted(self) -> Booleans:
        """Predicted tags, shape (papers, tags)."""
        return predict_labels(self.facet, self.probabilities, self.threshold)

    @property
    def right(self) -> Booleans:
        """Whether exactly the true tags are predicted, shape (papers,)."""
        return np.asarray((self.predicted == self.y_true).all(axis=1))

    def metrics(self) -> dict[str, float]:
        """Return the figures of :func:`evaluate`."""
        return evaluate(self.facet, self.y_true, self.probabilities, self.threshold)

    def weighted_figures(self, weights: Floats) -> dict[str, Floats]:
        """Return the figures of :func:`weighted_figures`; weights of shape (samples, papers)."""
        return weighted_figures(
            self.facet, self.y_true, self.probabilities, weights, self.threshold
        )

    def take(self, indices: Sequence[int] | Integers) -> HeldOut:
        """Return the papers at ``indices``, in that order."""
        return replace(
            self,
            ids=tuple(self.ids[index] for index in indices),
            titles=tuple(self.titles[index] for index in indices),
            folds=self.folds[indices],
            y_true=self.y_true[indices],
            probabilities=self.probabilities[indices],
            samples=self.samples[indices],
        )


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """One point of a learning curve: predictions per facet after training on ``labels`` labels.

    All points of a curve hold predictions of the same papers.
    """

    labels: int
    held_out: dict[str, HeldOut]


def predict_labels(
    facet: Facet, probabilities: Floats, threshold: float = DEFAULT_THRESHOLD
) -> Booleans:
    """Return the predicted tags as a mask, shape (papers, tags) as the probabilities.

    In an exclusive facet it is the most probable tag, else every tag at the threshold or above.
    """
    if not facet.exclusive:
        return np.asarray(probabilities >= threshold)
    predicted = np.zeros(probabilities.shape, dtype=bool)
    predicted[np.arange(len(probabilities)), probabilities.argmax(axis=1)] = True
    return predicted


def facet_confidence(
    facet: Facet, probabilities: Floats, threshold: float = DEFAULT_THRESHOLD
) -> Floats:
    """Return the confidence in each paper's predicted tags in one facet, shape (papers,).

    ``probabilities`` have shape (papers, tags). The confidence is the minimum over the tags of p
    for a predicted tag and 1 - p for any other. In an exclusive facet this equals the probability
    of the predicted tag.
    """
    predicted = predict_labels(facet, probabilities, threshold)
    return np.asarray(
        np.where(predicted, probabilities, 1 - probabilities).min(axis=1, initial=1.0)
    )


def evaluate(
    facet: Facet, y_true: Booleans, probabilities: Floats, threshold: float = DEFAULT_THRESHOLD
) -> dict[str, float]:
    """Measure predictions in one facet.

    ``y_true`` and ``probabilities`` have shape (papers, tags). In a facet that is not exclusive,
    tags are predicted from ``threshold`` on. Returns each of :data:`METRICS`, and ``f1/TAG`` for
    each tag, from 0 to 1. ``macro_f1`` and ``micro_f1`` are averages over tags; ``accuracy`` is the
    share of papers with exactly the true tags. Tags that are neither true nor predicted for any
    paper are left out of the averages. ``macro_f1`` also leaves out tags without
    :func:`enough labels <has_enough_labels>`, unless no tag has enough.

    The calibration error is the expected calibration error over ten bins of equal width (Naeini et
    al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015) of the predicted
    tags. Pairs of paper and tag without a prediction are left out: nearly all of them are easy. The
    Brier score (Brier, "Verification of forecasts expressed in terms of probability", 1950) is
    divided by the number of tags, to make facets comparable.
    """
    once = np.ones((1, len(y_true)))
    figures = weighted_figures(facet, y_true, probabilities, once, threshold)
    return {name: float(values[0]) for name, values in figures.items()}


def evaluate_with_intervals(held_out: HeldOut) -> dict[str, Figure]:
    """Return the figures of :func:`evaluate` with their 95% intervals.

    The interval of the accuracy is Wilson's, the others are bootstrap intervals. A bootstrap of
    papers that are all right, or all wrong, has no width: an F1 of 1 or 0 has the interval of
    Wilson for as many papers.
    """
    samples = held_out.weighted_figures(bootstrap_weights(len(held_out.ids)))
    papers, figures = len(held_out.ids), {}
    counts = dict(zip(held_out.facet.tag_names, held_out.y_true.sum(axis=0), strict=True))
    for name, value in held_out.metrics().items():
        figures[name] = Figure(value, interval(samples[name]))
        if "f1" in name and value in (0, 1):
            count = int(counts.get(name.removeprefix("f1/"), papers))
            figures[name] = share(round(value * count), count)
    return {**figures, "accuracy": share(int(held_out.right.sum()), papers)}


def share(successes: int, trials: int) -> Figure:
    """Return a share and its interval by Wilson's method; of no trials, 0 from 0 to 1.

    Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
    """
    if not trials:
        return Figure(0.0, (0.0, 1.0))
    from scipy.stats import binomtest

    found = binomtest(successes, trials).proportion_ci(method="wilson")
    return Figure(successes / trials, (float(found.low), float(found.high)))


def bootstrap_weights(papers: int) -> Floats:
    """Draw how often each paper occurs in each bootstrap sample, shape (2000, papers).

    The seed is fixed: two models measured on the same papers share their samples, which pairs the
    comparison (Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979).
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
    facet: Facet,
    y_true: Booleans,
    probabilities: Floats,
    weights: Floats,
    threshold: float = DEFAULT_THRESHOLD,
) -> dict[str, Floats]:
    """Return the figures of :func:`evaluate` for each weighting of the papers, shape (samples,).

    ``weights`` counts each paper in each sample, shape (samples, papers), also in fractions.
    """
    predicted = predict_labels(facet, probabilities, threshold)
    hits = weights @ (y_true & predicted)
    # F1 = 2 true positives / (papers with the tag + papers predicted to have it)
    support = weights @ y_true + weights @ predicted
    f1 = 2 * hits / np.maximum(support, _LEAST_WEIGHT)
    enough = has_enough_labels(y_true)
    used = (support > 0) & (enough | ~enough.any())
    total = np.maximum(weights.sum(axis=1), _LEAST_WEIGHT)
    gaps = _calibration_gaps(y_true, probabilities, predicted)
    given = np.maximum(weights @ predicted.sum(axis=1), _LEAST_WEIGHT)
    brier = (probabilities - y_true) ** 2
    figures = {
        "accuracy": weights @ (y_true == predicted).all(axis=1) / total,
        "macro_f1": (f1 * used).sum(axis=1) / np.maximum(used.sum(axis=1), 1),
        "micro_f1": 2 * hits.sum(axis=1) / np.maximum(support.sum(axis=1), _LEAST_WEIGHT),
        "calibration_error": np.abs(weights @ gaps).sum(axis=1) / given,
        "brier": weights @ brier.mean(axis=1) / total,
    }
    for tag, values in zip(facet.tag_names, f1.T, strict=True):
        figures[f"f1/{tag}"] = values
    return {name: np.asarray(values) for name, values in figures.items()}


def has_enough_labels(y_true: Booleans) -> Booleans:
    """Return whether enough papers have each tag, and enough do not have it, shape (tags,)."""
    return np.asarray(np.minimum(y_true.sum(axis=0), (~y_true).sum(axis=0)) >= ENOUGH_LABELS)


def confidences(held_out: HeldOut) -> tuple[Floats, Booleans]:
    """Return the confidence of each predicted tag, and whether it is right.

    Both have shape (predicted tags,); the calibration error is computed on them.
    """
    predicted = held_out.predicted
    return held_out.probabilities[predicted], held_out.y_true[predicted]


def _calibration_gaps(y_true: Booleans, probabilities: Floats, predicted: Booleans) -> Floats:
    """Return the sum over a paper's predicted tags of confidence minus accuracy, (papers, bins)."""
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    in_bin = (bins[:, :, None] == np.arange(BINS)) & predicted[:, :, None]
    return np.asarray(((probabilities - y_true)[:, :, None] * in_bin).sum(axis=1))
