"""How good predictions are: the figures that are logged, compared and quoted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, f1_score

from tagger.heads import Floats
from tagger.taxonomy import Facet

Booleans = npt.NDArray[np.bool_]


def assign(facet: Facet, probabilities: Floats) -> Booleans:
    """Return the tags that probabilities lead to, shape (papers, tags).

    One tag a paper in an exclusive facet, else every tag at 0.5 or above.
    """
    if not facet.exclusive:
        return np.asarray(probabilities >= 0.5)
    assigned = np.zeros(probabilities.shape, dtype=bool)
    assigned[np.arange(len(probabilities)), probabilities.argmax(axis=1)] = True
    return assigned


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
        papers with exactly the right tags), ``calibration_error`` and ``brier`` (see
        :func:`calibration_error`, :func:`brier_score`). Tags without a single paper in truth or
        prediction count in neither mean.
    """
    predicted = assign(facet, probabilities)
    per_tag = f1_score(truth, predicted, average=None, zero_division=0.0)
    seen = truth.any(axis=0) | predicted.any(axis=0)
    figures = {
        "accuracy": float(accuracy_score(truth, predicted)),
        "macro_f1": float(per_tag[seen].mean()) if seen.any() else 0.0,
        "micro_f1": float(f1_score(truth, predicted, average="micro", zero_division=0.0)),
        "calibration_error": calibration_error(facet, truth, probabilities),
        "brier": brier_score(truth, probabilities),
    }
    for tag, value in zip(facet.tag_names, per_tag, strict=True):
        figures[f"f1/{tag}"] = float(value)
    return figures


def calibration_error(
    facet: Facet, truth: Booleans, probabilities: Floats, bins: int = 10
) -> float:
    """Return the expected calibration error, 0 to 1.

    Mean distance between confidence and share of right answers over bins of equal width,
    weighted by their size (Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning", 2015). For an exclusive facet it is taken over the likeliest tag of each paper, for
    any other over every paper and tag.
    """
    if facet.exclusive:
        confidence = probabilities.max(axis=1)
        right = truth[np.arange(len(truth)), probabilities.argmax(axis=1)]
    else:
        confidence, right = probabilities.ravel(), truth.ravel()
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    size = np.bincount(number, minlength=bins)
    gap = np.bincount(number, confidence, bins) - np.bincount(number, right, bins)
    return float(np.abs(gap).sum() / max(size.sum(), 1))


def brier_score(truth: Booleans, probabilities: Floats) -> float:
    """Return the mean squared distance of probability and truth over papers and tags.

    Brier, "Verification of forecasts expressed in terms of probability" (1950), divided by the
    number of tags, so that facets of different size compare.
    """
    return float(np.mean((probabilities - truth) ** 2))
