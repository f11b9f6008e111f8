"""Learning curve of a version, and the F1 to expect from more labels of each tag.

The error of a classifier falls approximately as a power of the number of labels:
``error(n) = a * n ** -b`` (Hestness et al., "Deep Learning Scaling is Predictable, Empirically",
2017; for text, Figueroa et al., "Predicting sample size required for classification performance",
2012). ``b`` is fitted once per facet, since a single tag has too few papers. ``a`` follows from the
present F1 of each tag.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from tagger._util.arrays import Integers
from tagger._util.progress import Progress, no_progress
from tagger.evaluation import (
    Figure,
    HeldOut,
    Interval,
    LearningPoint,
    bootstrap_weights,
    interval,
    split_samples,
)
from tagger.training.cross_validation import cross_validate_on
from tagger.training.data import TrainingData
from tagger.training.encoders import EncoderCache, train_encoders
from tagger.training.run import plan_encoder, plan_folds
from tagger.training.settings import TrainingSettings

_SHARES = (0.25, 0.5)
_FOLDS = 2
"""Folds to measure on: with all folds the curve would take as long as a training run."""
_LARGEST_EXPONENT = 0.5
"""Hestness et al. measured exponents between 0.07 and 0.35. A curve that starts where some tags
have no label is steeper at first, so its exponent would be too high."""
_FEWEST_LABELS = 5
_FEWEST_PAPERS = 10
_LEAST_ERROR = 1e-3


@dataclass(frozen=True, slots=True)
class TagPlan:
    """The F1 to expect from more labels of a tag, if the other tags get more in proportion.

    ``labels`` is the number of papers that have the tag now, ``f1`` its F1 in cross-validation on
    reviewed papers, or on seed labels if too few were reviewed. The expected F1 and its 95%
    interval are None if the tag has fewer than 5 labels.
    """

    facet: str
    tag: str
    labels: int
    f1: float
    expected_f1: float | None
    interval: Interval | None

    @property
    def gain(self) -> float | None:
        """Expected F1 minus present F1, or None."""
        return None if self.expected_f1 is None else self.expected_f1 - self.f1


def measure_learning_curve(
    data: TrainingData,
    settings: TrainingSettings,
    out_of_fold: Mapping[str, HeldOut],
    progress: Progress = no_progress,
    cache: EncoderCache | None = None,
) -> tuple[LearningPoint, ...]:
    """Measure the learning curve: train on a quarter and on half of the labels, and on all.

    Two folds are held out and predicted. The point of all labels comes from ``out_of_fold``, by
    facet. A point is left out if its papers have too few tags. Raises a TaggerError if there are
    too few labels, or the encoder cannot be loaded.
    """
    known = {
        name: int(fold) - 1
        for held_out in out_of_fold.values()
        for name, fold in zip(held_out.ids, held_out.folds, strict=True)
    }
    folds, count = plan_folds(data, settings, known), min(_FOLDS, settings.folds)
    data = data.without(data.scarce_facets(folds, settings.folds))
    outside = [_interleaved(np.flatnonzero(folds != fold), data.strata()) for fold in range(count)]
    parts = [[indices[: round(share * len(indices))] for indices in outside] for share in _SHARES]
    parts = [part for part in parts if not any(map(data.have_one_tag, part))]
    plans = [
        plan_encoder(data, indices, settings, f"Learning curve, {len(indices)} labels, fold {fold}")
        for part in parts
        for fold, indices in enumerate(part, start=1)
    ]
    points = []
    if plans:
        with closing(train_encoders(plans, cache, progress)) as encoders:
            for part in parts:
                checked = cross_validate_on(data, folds, part, settings, encoders)
                held_out = {each.facet.name: each for each in checked.out_of_fold}
                points.append(LearningPoint(min(map(len, part)), held_out))
    # The same papers in the same order as at the other points: bootstrap samples go by position.
    order = {name: position for position, name in enumerate(data.ids)}
    last = {}
    for facet, table in out_of_fold.items():
        rows = [row for row, fold in enumerate(table.folds) if fold <= count]
        positions = [order[name] for name in table.ids]
        last[facet] = table.take(sorted(rows, key=positions.__getitem__))
    return (*points, LearningPoint(min(map(len, outside)), last))


def learning_exponent(points: Sequence[LearningPoint], facet: str) -> Figure | None:
    """Fit the exponent with which the macro-averaged error (1 - F1) of a facet falls with labels.

    It is fitted by least squares of the logarithms, with a 95% bootstrap interval over papers, and
    limited to 0 (labels do not help) to 0.5. Reviewed papers are used, or seed labels if the points
    have too few of these. None for fewer than two points or 10 papers.
    """
    parts = [
        next(iter(split_samples(held_out).values()), held_out)
        for held_out in (point.held_out[facet] for point in points)
    ]
    papers = len(parts[0].y_true) if parts else 0
    if len(parts) < 2 or papers < _FEWEST_PAPERS:
        return None
    # The first row weighs all papers alike, the others are bootstrap samples.
    weights = np.vstack([np.ones(papers), bootstrap_weights(papers)])
    errors = [1 - part.weighted_figures(weights)["macro_f1"] for part in parts]
    logs = np.log(np.maximum(errors, _LEAST_ERROR))
    sizes = np.log([point.labels for point in points])
    centred = sizes - sizes.mean()
    exponents = np.clip(-(centred @ logs) / (centred**2).sum(), 0, _LARGEST_EXPONENT)
    return Figure(float(exponents[0]), interval(exponents[1:]))


def plan_tag(facet: str, tag: str, labels: int, f1: float, exponent: Figure, more: int) -> TagPlan:
    """Return the F1 to expect from ``more`` labels of a tag, by the exponent of its facet."""
    if labels < _FEWEST_LABELS:
        return TagPlan(facet, tag, labels, f1, None, None)
    growth = (labels + more) / labels
    expected, *ends = (
        1 - (1 - f1) * growth**-power for power in (exponent.value, *exponent.interval)
    )
    return TagPlan(facet, tag, labels, f1, expected, (ends[0], ends[1]))


def _interleaved(indices: Integers, strata: Sequence[int]) -> Integers:
    """Order papers so that strata alternate: each first part of them has all strata."""
    counters: defaultdict[int, Iterator[int]] = defaultdict(itertools.count)
    turns = [next(counters[strata[index]]) for index in indices]
    return indices[np.argsort(turns, kind="stable")]
