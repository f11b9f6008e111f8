"""Learning curve of a version, and what more labels of each tag should bring.

The error of a classifier falls about as a power of the number of labels: ``error(n) = a * n ** -b``
(Hestness et al., "Deep Learning Scaling is Predictable, Empirically", 2017; for text, Figueroa et
al., "Predicting sample size required for classification performance", 2012). The exponent ``b`` is
fitted once a facet, since a single tag has too few papers; ``a`` is that of each tag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from tagger._util.arrays import Integers
from tagger._util.progress import Progress
from tagger.evaluation import (
    Figure,
    HeldOut,
    Interval,
    LearningPoint,
    bootstrap_weights,
    interval,
)
from tagger.training.data import TrainingData
from tagger.training.encoders import EncoderCache, train_encoders
from tagger.training.run import TrainingSettings, cross_validate_rows, plan_encoder, plan_folds

_SHARES = (0.25, 0.5)
_FOLDS = 2
"""On all folds the curve would take as long as a training."""
_LARGEST_EXPONENT = 0.5
"""Those measured by Hestness et al. are between 0.07 and 0.35. A curve that begins where some tags
have no label at all is steeper, and does not go on like that."""
_FEWEST_LABELS = 5
_FEWEST_PAPERS = 10
_LEAST_ERROR = 1e-3


@dataclass(frozen=True, slots=True)
class TagPlan:
    """What more labels of a tag should bring, if those of the other tags grow alike.

    ``labels`` is how many papers have it now, ``f1`` that of the cross-validation. The expected F1
    and its 95% interval are None where the tag has fewer than 5 labels, which is too few to tell.
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


def measure_learning_curve(
    data: TrainingData,
    settings: TrainingSettings,
    out_of_fold: Mapping[str, HeldOut],
    progress: Progress | None = None,
    cache: EncoderCache | None = None,
) -> tuple[LearningPoint, ...]:
    """Train on a quarter and on half of the labels outside of two folds, and measure on these.

    The last point is ``out_of_fold``, by facet. Parts with too few tags are left out.
    """
    known = {
        name: int(fold) - 1
        for held_out in out_of_fold.values()
        for name, fold in zip(held_out.ids, held_out.folds, strict=True)
    }
    folds, count = plan_folds(data, settings, known), min(_FOLDS, settings.folds)
    outside = [_in_turns(np.flatnonzero(folds != fold), data.strata()) for fold in range(count)]
    parts = [[rows[: round(share * len(rows))] for rows in outside] for share in _SHARES]
    parts = [part for part in parts if all(map(data.can_teach, part))]
    plans = [
        plan_encoder(data, rows, settings, f"Learning curve, {len(rows)} labels, fold {fold}")
        for part in parts
        for fold, rows in enumerate(part, start=1)
    ]
    points = []
    if plans:
        with closing(train_encoders(plans, cache, progress)) as encoders:
            for part in parts:
                checked = cross_validate_rows(data, folds, part, settings, encoders)
                held_out = {each.facet.name: each for each in checked.out_of_fold}
                points.append(LearningPoint(min(map(len, part)), held_out))
    order = {name: place for place, name in enumerate(data.ids)}
    last = {}
    for facet, table in out_of_fold.items():
        rows = [row for row, fold in enumerate(table.folds) if fold <= count]
        places = [order[table.ids[row]] for row in rows]
        last[facet] = table.take([row for _, row in sorted(zip(places, rows, strict=True))])
    return (*points, LearningPoint(min(map(len, outside)), last))


def learning_exponent(points: Sequence[LearningPoint], facet: str) -> Figure | None:
    """Fit how fast the macro-averaged error (1 - F1) of a facet falls with labels.

    Least squares of the logarithms; the interval is over papers drawn with replacement. An exponent
    is kept between 0 (labels bring nothing) and 0.5. None from fewer than two points or 10 papers.
    """
    parts = [point.held_out[facet] for point in points]
    papers = len(parts[0].y_true) if parts else 0
    if len(parts) < 2 or papers < _FEWEST_PAPERS:
        return None
    # All papers once, and then the samples.
    weights = np.vstack([np.ones(papers), bootstrap_weights(papers)])
    errors = [1 - part.weighted_figures(weights)["macro_f1"] for part in parts]
    logs = np.log(np.maximum(errors, _LEAST_ERROR))
    sizes = np.log([point.labels for point in points])
    centred = sizes - sizes.mean()
    exponents = np.clip(-(centred @ logs) / (centred**2).sum(), 0, _LARGEST_EXPONENT)
    return Figure(float(exponents[0]), interval(exponents[1:]))


def plan_tag(facet: str, tag: str, labels: int, f1: float, exponent: Figure, more: int) -> TagPlan:
    """Return what ``more`` labels of a tag should bring, by the exponent of its facet."""
    if labels < _FEWEST_LABELS:
        return TagPlan(facet, tag, labels, f1, None, None)
    growth = (labels + more) / labels
    expected, *ends = (
        1 - (1 - f1) * growth**-power for power in (exponent.value, *exponent.interval)
    )
    return TagPlan(facet, tag, labels, f1, expected, (ends[0], ends[1]))


def _in_turns(rows: Integers, strata: Sequence[int]) -> Integers:
    """Order papers so that kinds take turns: any first part of them has all kinds."""
    seen: Counter[int] = Counter()
    turns = []
    for row in rows:
        turns.append(seen[strata[row]])
        seen[strata[row]] += 1
    return rows[np.argsort(turns, kind="stable")]
