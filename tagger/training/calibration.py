"""Fit calibrations and thresholds on out-of-fold scores.

:mod:`tagger.model.calibration` applies them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tagger._util.arrays import Booleans, Floats, Integers
from tagger.evaluation import (
    DEFAULT_THRESHOLD,
    bootstrap_weights,
    has_enough_labels,
    weighted_figures,
)
from tagger.model import Calibration, OutOfFold, calibrated_probabilities, logits_of
from tagger.taxonomy import Facet
from tagger.training.data import TrainingData

PRIOR_THRESHOLD = 0.4
"""The threshold at which F1 is highest where F1 is 0.8."""
_THRESHOLDS = np.arange(20, 61) / 100
_BOOTSTRAPS = 200
SHRINKAGE = 0.9
"""Scale of a calibration on papers that arrive, as a share of the one on seed labels: 0.88 to 0.94
in ``experiments/trust.py``."""
ANCHOR = 20
"""Number of papers by which the mean over text views is taken to be calibrated already, so that a
few labels cannot make it extreme."""
_LOG_SCALES = (-3.0, 3.0)
"""Bounds of the logarithm of a calibration's scale. Without them, a few papers that are all
predicted right would get a confidence of 1."""


@dataclass(frozen=True)
class Calibrated:
    """The calibrations of a text view, or of the mean over the views of an effort, by facet.

    The probabilities of ``out_of_fold`` are calibrated on the other folds. Only an effort has
    ``thresholds``.
    """

    calibrations: dict[str, Calibration]
    out_of_fold: OutOfFold
    thresholds: dict[str, float] = field(default_factory=dict)


def calibrate_view(
    data: TrainingData,
    folds: Integers,
    scores: Mapping[str, Floats],
    similarity: Floats,
    *,
    shrinkage: float = 1.0,
    anchor: float = 0.0,
) -> Calibrated:
    """Calibrate the out-of-fold scores of a text view.

    ``folds`` and ``similarity`` (to the training set) have shape (papers,), ``scores`` per facet
    (members, papers, tags). The scores of papers that did not arrive are divided by ``shrinkage``;
    for ``anchor`` see :func:`fit_calibration`.
    """
    calibrations, probabilities = {}, {}
    for facet in data.taxonomy.facets:
        name = facet.name
        rows = np.flatnonzero(data.annotated[name])
        weights = data.calibration_weights(name)[rows]
        y_true, annotated = data.y_true[name][rows], scores[name][:, rows]
        fitted_on = annotated / np.where(data.audited[rows], 1.0, shrinkage)[:, None]
        calibrations[name] = fit_calibration(facet, y_true, fitted_on, weights, anchor)
        probabilities[name] = calibrated_probabilities(facet, scores[name], calibrations[name])
        for fold in np.unique(folds[rows]):
            other, own = folds[rows] != fold, folds[rows] == fold
            known = y_true[other], fitted_on[:, other], weights[other]
            by_others = fit_calibration(facet, *known, anchor)
            probabilities[name][rows[own]] = calibrated_probabilities(
                facet, annotated[:, own], by_others
            )
    return Calibrated(calibrations, OutOfFold(similarity, probabilities))


def calibrate_effort(
    data: TrainingData, folds: Integers, views: Sequence[Calibrated]
) -> Calibrated:
    """Calibrate the mean of the probabilities of text views, and choose thresholds.

    The mean of calibrated probabilities is not calibrated: it is less extreme than it should be
    (Rahaman and Thiery, "Uncertainty Quantification and Deep Ensembles", 2021). The logits of
    papers that did not arrive are divided by :data:`SHRINKAGE`, because texts that were chosen or
    written as examples are easier than others.
    """
    scores = {}
    for facet in data.taxonomy.facets:
        parts = [view.out_of_fold.probabilities[facet.name] for view in views]
        logits = logits_of(facet, np.mean(parts, axis=0))
        scores[facet.name] = logits[None]
    similarity = views[-1].out_of_fold.similarity
    found = calibrate_view(data, folds, scores, similarity, shrinkage=SHRINKAGE, anchor=ANCHOR)
    thresholds = {}
    for facet in data.taxonomy.facets:
        rows, weights = data.annotated[facet.name], data.calibration_weights(facet.name)
        probabilities = found.out_of_fold.probabilities[facet.name][rows]
        y_true = data.y_true[facet.name][rows]
        thresholds[facet.name] = fit_threshold(facet, y_true, probabilities, weights[rows])
    return replace(found, thresholds=thresholds)


def fit_threshold(
    facet: Facet, y_true: Booleans, probabilities: Floats, weights: Floats | None = None
) -> float:
    """Choose the threshold of a facet for micro-F1 on out-of-fold predictions.

    ``y_true`` and ``probabilities`` have shape (papers, tags), ``weights`` (papers,). The best
    threshold of calibrated probabilities is half of the best F1 (Lipton et al., "Optimal
    Thresholding of Classifiers to Maximize F1 Measure", 2014), about :data:`PRIOR_THRESHOLD`. Among
    the thresholds whose F1 is within one standard error of the highest, the one nearest to it is
    returned (Breiman et al., "Classification and Regression Trees", 1984). An exclusive facet needs
    no threshold and gets the default.
    """
    if facet.exclusive or not y_true.any():
        return DEFAULT_THRESHOLD
    samples = np.vstack([np.ones(len(y_true)), bootstrap_weights(len(y_true))[:_BOOTSTRAPS]])
    if weights is not None:
        samples = samples * weights
    f1 = np.array(
        [
            weighted_figures(facet, y_true, probabilities, samples, threshold)["micro_f1"]
            for threshold in _THRESHOLDS
        ]
    )
    loss = f1[f1[:, 0].argmax()] - f1
    near = loss[:, 0] <= loss[:, 1:].std(axis=1)
    distance = np.where(near, np.abs(_THRESHOLDS - PRIOR_THRESHOLD), np.inf)
    return float(_THRESHOLDS[distance.argmin()])


def fit_calibration(
    facet: Facet,
    y_true: Booleans,
    scores: Floats,
    weights: Floats | None = None,
    anchor: float = 0.0,
) -> Calibration:
    """Fit a calibration on out-of-fold scores, shape (members, papers, tags).

    ``y_true`` has shape (papers, tags), ``weights`` (papers,). Tags without a label are left out,
    since it is unknown which papers have them. ``anchor`` is the weight, in papers, of the prior
    that the scores are calibrated already: each tag also counts as true and false in the
    proportion of its probability.
    """
    capped = tuple(np.array(facet.tag_names)[~has_enough_labels(y_true)].tolist())
    if weights is None:
        weights = np.ones(len(y_true))
    y_true, scores, weights = y_true[weights > 0], scores[:, weights > 0], weights[weights > 0]
    if not y_true.any() or y_true[:, y_true.any(axis=0)].all():
        return Calibration(capped=capped)
    labelled = y_true.any(axis=0)
    prior = calibrated_probabilities(facet, scores, Calibration())
    # How often each tag of each paper counts as true, and as false.
    share = anchor / len(y_true)
    true = weights[:, None] * y_true + share * prior
    if facet.exclusive:
        from scipy.optimize import minimize_scalar

        def loss(log_scale: float) -> float:
            calibration = Calibration(float(np.exp(log_scale)))
            found = calibrated_probabilities(facet, scores, calibration)
            return -float((true * np.log(found + 1e-12)).sum())

        scale = float(np.exp(minimize_scalar(loss, bounds=_LOG_SCALES).x))
        return Calibration(scale, capped=capped)
    from sklearn.linear_model import LogisticRegression

    false = weights[:, None] * ~y_true + share * (1 - prior)
    summed = scores.sum(axis=0)[:, labelled].reshape(-1, 1)
    counts = np.concatenate([true[:, labelled].ravel(), false[:, labelled].ravel()])
    answers = np.repeat([True, False], len(summed))
    fitted = LogisticRegression().fit(np.concatenate([summed, summed]), answers, counts)
    return Calibration(max(float(fitted.coef_[0, 0]), 0.0), float(fitted.intercept_[0]), capped)
