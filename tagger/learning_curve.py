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
from dataclasses import dataclass, replace

import numpy as np

from tagger.calibration import cross_calibrate
from tagger.encoder_cache import EncoderCache
from tagger.encoder_training import TrainingProgress, train_encoders
from tagger.evaluation import (
    HeldOut,
    Integers,
    Interval,
    bootstrap_weights,
    interval,
    weighted_figures,
)
from tagger.heads import MEMBERS
from tagger.labels import Label
from tagger.taxonomy import Taxonomy
from tagger.training import TrainingSettings, fit_heads, plan_encoder, plan_folds
from tagger.training_data import TrainingData

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
class LearningPoint:
    """Predictions of models that were trained on part of the labels.

    Parameters
    ----------
    labels:
        How many they were trained on.
    held_out:
        Per facet, predictions for papers that they had not seen, the same ones at each point.
    """

    labels: int
    held_out: dict[str, HeldOut]


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


def learning_curve(
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    out_of_fold: Mapping[str, HeldOut],
    progress: TrainingProgress | None = None,
    cache: EncoderCache | None = None,
) -> tuple[LearningPoint, ...]:
    """Train on a quarter and on half of the labels outside of two folds, and measure on these.

    The last point is the cross-validation itself. Parts with too few tags are left out.

    Parameters
    ----------
    labels, taxonomy, settings:
        Of the version.
    out_of_fold:
        Per facet, the predictions of its cross-validation.
    progress:
        Called as the work goes on.
    cache:
        Where encoders are looked for, and kept.

    Raises
    ------
    TaggerError
        If an encoder cannot be trained.
    """
    data = TrainingData.of(labels, taxonomy)
    places = {
        facet: {name: row for row, name in enumerate(held_out.ids)}
        for facet, held_out in out_of_fold.items()
    }
    known = {
        name: int(held_out.folds[row]) - 1
        for facet, held_out in out_of_fold.items()
        for name, row in places[facet].items()
    }
    folds = plan_folds(data, settings, known)
    chosen = range(min(_FOLDS, settings.folds))
    judged = {
        name: np.flatnonzero(values & (folds < len(chosen))) for name, values in data.judged.items()
    }
    measured = {
        name: out_of_fold[name].take([places[name][data.ids[row]] for row in rows])
        for name, rows in judged.items()
    }
    outside = [_in_turns(np.flatnonzero(folds != fold), data.strata()) for fold in chosen]
    parts = [[rows[: round(share * len(rows))] for rows in outside] for share in _SHARES]
    parts = [part for part in parts if all(data.can_teach(rows) for rows in part)]
    plans = [
        plan_encoder(data, rows, settings, f"Learning curve, {len(rows)} labels, fold {fold + 1}")
        for part in parts
        for fold, rows in enumerate(part)
    ]
    points = []
    with closing(train_encoders(plans, cache, progress)) as encoders:
        for part in parts:
            scores = {name: np.zeros((len(MEMBERS), *t.shape)) for name, t in data.truth.items()}
            for fold, rows in zip(chosen, part, strict=True):
                encoder, unseen = next(encoders).encoder, np.flatnonzero(folds == fold)
                papers = data.papers(unseen)
                vectors = encoder.encode([paper.text for paper in papers])
                found = fit_heads(data, rows, settings, encoder).scores(papers, vectors)
                for name, values in found.items():
                    scores[name][:, unseen] = values
            held_out = {}
            for name, rows in judged.items():
                facet, truth = taxonomy.facet(name), data.truth[name][rows]
                calibrated = cross_calibrate(facet, truth, scores[name][:, rows], folds[rows])
                held_out[name] = replace(measured[name], probabilities=calibrated)
            points.append(LearningPoint(min(map(len, part)), held_out))
    return (*points, LearningPoint(min(map(len, outside)), measured))


def _in_turns(rows: Integers, strata: Sequence[int]) -> Integers:
    """Order papers so that kinds take turns: any first part of them has all kinds."""
    seen: Counter[int] = Counter()
    turns = []
    for row in rows:
        turns.append(seen[strata[row]])
        seen[strata[row]] += 1
    return rows[np.argsort(turns, kind="stable")]


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
