"""How good predictions are: the figures that are logged, compared and quoted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tagger.heads import Floats
from tagger.taxonomy import Facet

Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int_]
Interval = tuple[float, float]

_BINS = 10
_ROUNDS = 2000


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Labelled papers in one facet, and what a model that had not seen them says of each.

    Parameters
    ----------
    facet:
        The facet; columns are in the order of its ``tag_names``.
    ids, titles:
        Of the papers.
    folds:
        Which fold of the cross-validation held a paper out, from 1, shape (papers,).
    truth:
        Tags that people gave, shape (papers, tags).
    probabilities:
        Calibrated without the paper itself, shape (papers, tags).
    """

    facet: Facet
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    folds: Integers
    truth: Booleans
    probabilities: Floats

    @property
    def predicted(self) -> Booleans:
        """Tags that the model gives, shape (papers, tags)."""
        return assign(self.facet, self.probabilities)

    @property
    def right(self) -> Booleans:
        """Whether a paper got exactly its tags, shape (papers,)."""
        return np.asarray((self.predicted == self.truth).all(axis=1))

    def take(self, rows: Sequence[int] | Integers) -> HeldOut:
        """Return some of the papers, in the order of ``rows``."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            titles=tuple(self.titles[row] for row in rows),
            folds=self.folds[rows],
            truth=self.truth[rows],
            probabilities=self.probabilities[rows],
        )


def assign(facet: Facet, probabilities: Floats) -> Booleans:
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
    given = assign(facet, probabilities)
    return np.asarray(np.where(given, probabilities, 1 - probabilities).min(axis=1, initial=1.0))


def evaluate(facet: Facet, truth: Booleans, probabilities: Floats) -> dict[str, float]:
    """Compare predictions with the truth in one facet.

    Parameters
    ----------
    facet:
        The facet.
    truth, probabilities:
        Shape (papers, tags).

    Returns
    -------
    dict
        ``macro_f1`` and ``micro_f1`` over tags, ``f1/TAG`` for each tag, ``accuracy`` (share of
        papers with exactly the right tags), ``calibration_error`` and ``brier``, all from 0 to 1.
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
    figures = weighted_figures(facet, truth, probabilities, np.ones((1, len(truth))))
    return {name: float(values[0]) for name, values in figures.items()}


def bootstrap_weights(papers: int) -> Floats:
    """Draw how often each paper stands in each bootstrap sample, shape (2000, papers).

    Two models measured with the same weights are compared paper by paper. Efron, "Bootstrap
    Methods: Another Look at the Jackknife" (1979).
    """
    share = np.full(papers, 1 / max(papers, 1))
    return np.random.default_rng(0).multinomial(papers, share, _ROUNDS).astype(np.float64)


def interval(values: Floats) -> Interval:
    """Return the 95% percentile interval of bootstrap values, shape (samples,)."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def weighted_figures(
    facet: Facet, truth: Booleans, probabilities: Floats, weights: Floats
) -> dict[str, Floats]:
    """Return the figures of :func:`evaluate` for many weightings of the papers at once.

    Parameters
    ----------
    facet:
        The facet.
    truth, probabilities:
        Shape (papers, tags).
    weights:
        How often each paper counts, shape (samples, papers).

    Returns
    -------
    dict
        Shape (samples,) for each figure.
    """
    predicted = assign(facet, probabilities)
    hits = weights @ (truth & predicted)
    # F1 = 2 hits / (papers that have the tag + papers that were given it)
    either = weights @ truth + weights @ predicted
    per_tag = 2 * hits / np.maximum(either, 1)
    seen = either > 0
    total = np.maximum(weights.sum(axis=1), 1)
    error, brier = _gaps(facet, truth, probabilities), (probabilities - truth) ** 2
    figures = {
        "accuracy": weights @ (truth == predicted).all(axis=1) / total,
        "macro_f1": (per_tag * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1),
        "micro_f1": 2 * hits.sum(axis=1) / np.maximum(either.sum(axis=1), 1),
        "calibration_error": np.abs(weights @ error).sum(axis=1) / total,
        "brier": weights @ brier.mean(axis=1) / total,
    }
    for tag, values in zip(facet.tag_names, per_tag.T, strict=True):
        figures[f"f1/{tag}"] = values
    return {name: np.asarray(values) for name, values in figures.items()}


def confidences(facet: Facet, truth: Booleans, probabilities: Floats) -> tuple[Floats, Booleans]:
    """Return the statements that a calibration error is taken over, and which of them are right.

    Returns
    -------
    tuple
        Confidence and truth, both of shape (papers, statements): the likeliest tag in an
        exclusive facet, every tag in any other.
    """
    if not facet.exclusive:
        return probabilities, truth
    best = probabilities.argmax(axis=1)[:, None]
    return np.take_along_axis(probabilities, best, 1), np.take_along_axis(truth, best, 1)


def _gaps(facet: Facet, truth: Booleans, probabilities: Floats) -> Floats:
    """Return the confidence too much of each paper in each bin, shape (papers, bins).

    It is the mean over the statements of a paper, so that weighted sums over papers give the
    calibration error.
    """
    confidence, right = confidences(facet, truth, probabilities)
    number = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    in_bin = number[:, :, None] == np.arange(_BINS)
    gap = (confidence - right)[:, :, None] * in_bin
    return np.asarray(gap.sum(axis=1) / max(confidence.shape[1], 1))
