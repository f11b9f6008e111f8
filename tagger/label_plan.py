"""What more labels should bring, from the learning curve.

The error of a classifier falls about as a power of the number of labels: ``error(n) = a * n ** -b``
(Hestness et al., "Deep Learning Scaling is Predictable, Empirically", 2017; for text, Figueroa et
al., "Predicting sample size required for classification performance", 2012). The exponent ``b`` is
fitted once a facet, for a single tag has too few papers to tell; ``a`` is each tag's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tagger.evaluation import Interval, bootstrap_weights, interval, weighted_figures
from tagger.training import LearningPoint

_LARGEST_EXPONENT = 0.5
"""Those measured by Hestness et al. are between 0.07 and 0.35. A curve that begins where some tags
have no label at all is steeper, and does not go on like that."""

_FEWEST_LABELS = 5
_FEWEST_PAPERS = 10
_LEAST_ERROR = 1e-3


@dataclass(frozen=True, slots=True)
class Exponent:
    """How fast the error of a facet falls with labels, and its 95% interval."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class TagPlan:
    """What more labels of a tag should bring.

    Parameters
    ----------
    facet, tag:
        The tag.
    labels:
        How many papers have it now.
    f1:
        Its F1 in cross-validation now; 0 if no paper has it.
    expected_f1, interval:
        With the labels to come, if those of the other tags grow alike, and for the interval of the
        exponent; None where the tag has fewer than 5 labels, from which nothing can be told.
    """

    facet: str
    tag: str
    labels: int
    f1: float
    expected_f1: float | None
    interval: Interval | None

    @property
    def gain(self) -> float | None:
        """Expected F1 less that of now."""
        return None if self.expected_f1 is None else self.expected_f1 - self.f1


def learning_exponent(points: Sequence[LearningPoint], facet: str) -> Exponent | None:
    """Fit how fast the macro-averaged error (1 - F1) of a facet falls with labels.

    Least squares of the logarithms; the interval is over papers drawn with replacement. An exponent
    is kept between 0 (labels bring nothing) and 0.5.

    Parameters
    ----------
    points:
        Measured on the same papers.
    facet:
        Name of the facet.

    Returns
    -------
    Exponent or None
        None from fewer than two points, or fewer than 10 papers.
    """
    parts = [point.held_out[facet] for point in points]
    papers = len(parts[0].truth) if parts else 0
    if len(parts) < 2 or papers < _FEWEST_PAPERS:
        return None
    # All papers once, and then the draws.
    weights = np.vstack([np.ones(papers), bootstrap_weights(papers)])
    errors = np.stack(
        [
            1 - weighted_figures(p.facet, p.truth, p.probabilities, weights)["macro_f1"]
            for p in parts
        ]
    )
    logs = np.log(np.maximum(errors, _LEAST_ERROR))
    sizes = np.log([point.labels for point in points])
    centred = sizes - sizes.mean()
    exponents = np.clip(-(centred @ logs) / (centred**2).sum(), 0, _LARGEST_EXPONENT)
    return Exponent(float(exponents[0]), interval(exponents[1:]))


def plan_tag(
    facet: str, tag: str, labels: int, f1: float, exponent: Exponent, more: int
) -> TagPlan:
    """Return what more labels of a tag should bring.

    Parameters
    ----------
    facet, tag, labels, f1:
        As in :class:`TagPlan`.
    exponent:
        Of the facet.
    more:
        Labels of this tag to come.
    """
    if labels < _FEWEST_LABELS:
        return TagPlan(facet, tag, labels, f1, None, None)
    growth = (labels + more) / labels

    def expected(power: float) -> float:
        return 1 - (1 - f1) * float(growth**-power)

    low, high = exponent.interval
    return TagPlan(
        facet, tag, labels, f1, expected(exponent.value), (expected(low), expected(high))
    )
