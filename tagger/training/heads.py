"""Fit the heads of a model on encoder vectors and TF-IDF terms, and calibrate their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Booleans, Floats, Integers, Vectors
from tagger.evaluation import DEFAULT_THRESHOLD, bootstrap_weights, weighted_figures
from tagger.model import (
    Calibration,
    Head,
    Linear,
    OutOfFold,
    calibrated_probabilities,
    terms_of,
)
from tagger.papers import EFFORTS, Paper
from tagger.taxonomy import Facet
from tagger.training.data import TrainingData

ENCODER_C = {True: 1.0, False: 10.0}
LEXICAL_C = {True: 5.0, False: 10.0}
"""scikit-learn's C, the freedom given to weights, for exclusive facets and others."""
ENOUGH_LABELS = 5
"""The probability of a tag is capped if fewer papers have it, or fewer do not have it."""
BLEND_LABELS = 4
"""Number of labels at which classifiers and similarity to the definition have equal weight."""

PRIOR_THRESHOLD = 0.4
"""The threshold at which F1 is highest where F1 is 0.8."""
_THRESHOLDS = np.arange(20, 61) / 100
_BOOTSTRAPS = 200

MAX_TERMS = 10_000
_MIN_SPREAD = 1e-6
_LOG_SCALES = (-3.0, 3.0)
"""Bounds of the logarithm of a calibration's scale. Without them, a few papers that are all
predicted right would get a confidence of 1."""


def fit_vectorizer(papers: Sequence[Paper]) -> Any:
    """Fit a ``TfidfVectorizer`` on papers.

    It keeps the :data:`MAX_TERMS` most frequent terms that at least two papers share.
    :class:`tagger.model.LexicalFeatures` is made from its vocabulary and ``idf_``.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    def vectorizer(**options: Any) -> Any:
        return TfidfVectorizer(analyzer=terms_of, sublinear_tf=True, **options)

    try:
        return vectorizer(min_df=2, max_features=MAX_TERMS).fit(papers)
    except ValueError:  # no two papers share a term: use one term that no paper contains
        return vectorizer(vocabulary=[""]).fit(papers)


def fit_head(
    facet: Facet,
    vectors: Vectors,
    terms: Any,
    y_true: Booleans,
    prototypes: Vectors,
    calibration: Calibration | None = None,
) -> Head:
    """Fit the classifiers of a facet.

    The definition of a tag counts as one more paper with it. The fewer labels a tag has, the more
    its score is the similarity to its definition.

    Parameters
    ----------
    vectors:
        Shape (views * papers, dimensions), one view after another, the whole text first.
    terms, y_true:
        Shapes (papers, terms) and (papers, tags).
    prototypes:
        Vectors of the definitions, shape (tags, dimensions).
    calibration:
        The calibration of the head's scores, if it is known.
    """
    labelled = np.asarray(y_true.any(axis=0))
    rows = np.concatenate([vectors, prototypes[labelled]])
    of_views = np.tile(y_true, (len(vectors) // max(len(y_true), 1), 1))
    implied = np.array(
        [np.isin(facet.tag_names, facet.with_ancestors((t,))) for t in facet.tag_names]
    )
    of_rows = np.concatenate([of_views, implied[labelled]])
    encoder = fit_linear(facet, rows, of_rows, ENCODER_C[facet.exclusive])
    lexical = fit_linear(facet, terms, y_true, LEXICAL_C[facet.exclusive])
    by_definition = fit_similarity(facet, vectors[: len(y_true)], y_true, prototypes, encoder)
    if by_definition is None:
        return Head(facet, encoder, lexical)
    if calibration and not facet.exclusive:  # its scores are logits already
        scale = max(calibration.scale, _MIN_SPREAD)
        bias = (by_definition.bias - calibration.shift) / scale
        by_definition = Linear(by_definition.weights / scale, bias)
    counts = np.minimum(y_true.sum(axis=0), (~y_true).sum(axis=0))
    share = counts**2 / (counts**2 + BLEND_LABELS**2)
    return Head(
        facet,
        Linear(
            share[:, None] * encoder.weights + (1 - share)[:, None] * by_definition.weights,
            share * encoder.bias + (1 - share) * by_definition.bias,
        ),
        Linear(share[:, None] * lexical.weights, share * lexical.bias),
    )


def fit_linear(facet: Facet, features: Any, y_true: Booleans, strength: float) -> Linear:
    """Fit logistic regression of the tags of a facet, with ``strength`` for scikit-learn's C.

    ``features`` are dense or sparse, shape (papers, features); ``y_true`` has shape (papers, tags).
    """
    from sklearn.linear_model import LogisticRegression

    papers, size = features.shape
    weights = np.zeros((len(facet.tags), size))
    # A tag of no paper, or of all, has zero weights and a bias that gives it to none, or to all.
    always = y_true.all(axis=0) & y_true.any(axis=0)
    bias = np.where(always, 1.0, -1.0) * np.log(2.0 * max(papers, 1) + 1)

    def fit(classes: npt.NDArray[np.generic]) -> LogisticRegression:
        classifier = LogisticRegression(C=strength, max_iter=2000, class_weight="balanced")
        return classifier.fit(features, classes)

    if not papers or not size:
        return Linear(weights, np.where(y_true.any(axis=0), 0, bias))
    if facet.exclusive:
        classifier = fit(y_true.argmax(axis=1))
        known = classifier.classes_
        if len(known) == 2:
            weights[known] = np.concatenate([-classifier.coef_ / 2, classifier.coef_ / 2])
            bias[known] = np.concatenate([-classifier.intercept_ / 2, classifier.intercept_ / 2])
        else:
            weights[known], bias[known] = classifier.coef_, classifier.intercept_
    else:
        for column in range(len(facet.tags)):
            if 0 < y_true[:, column].sum() < papers:
                classifier = fit(y_true[:, column])
                weights[column], bias[column] = classifier.coef_[0], classifier.intercept_[0]
    return Linear(weights, bias)


def fit_similarity(
    facet: Facet, vectors: Vectors, y_true: Booleans, prototypes: Vectors, classifier: Linear
) -> Linear | None:
    """Fit scores from the similarity to definitions, with one function for all tags of a facet.

    The similarity of a paper to a definition is their cosine minus its mean over labelled papers,
    divided by the standard deviation over all papers and tags. It is mapped to scores on the tags
    with labels: by logistic regression of ``y_true``, or, in an exclusive facet, where scores of
    tags compete, by least squares of the classifier's scores. Returns None if similarity predicts
    nothing. Classification by the meaning of the label: Chang et al., "Importance of Semantic
    Representation: Dataless Classification" (2008).

    ``vectors`` have shape (papers, dimensions), ``y_true`` (papers, tags), ``prototypes`` (tags,
    dimensions).
    """
    labelled = np.asarray(y_true.any(axis=0))
    cosines = (vectors @ prototypes.T).astype(np.float64)
    centre = cosines.mean(axis=0) if len(cosines) else np.zeros(len(prototypes))
    spread = max(float((cosines - centre).std()), _MIN_SPREAD) if len(cosines) else 1.0
    similarity = ((cosines - centre) / spread)[:, labelled]
    if not similarity.any() or y_true[:, labelled].all():
        return None
    if facet.exclusive:
        scores = classifier.scores(vectors)[:, labelled]
        slope, offset = np.polyfit(similarity.ravel(), scores.ravel(), 1)
    else:
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression().fit(similarity.reshape(-1, 1), y_true[:, labelled].ravel())
        slope, offset = fitted.coef_[0, 0], fitted.intercept_[0]
    if slope <= 0:
        return None
    weights = slope / spread * prototypes.astype(np.float64)
    return Linear(weights, offset - slope / spread * centre)


@dataclass(frozen=True)
class CalibratedView:
    """The calibrations of a text view by facet, and what they were fitted on.

    ``scores`` are out-of-fold scores by facet, shape (members, papers, tags). The probabilities of
    ``out_of_fold`` are calibrated on the other folds.
    """

    calibrations: dict[str, Calibration]
    out_of_fold: OutOfFold
    scores: Mapping[str, Floats]


def calibrate_view(
    data: TrainingData, folds: Integers, scores: Mapping[str, Floats], similarity: Floats
) -> CalibratedView:
    """Calibrate the out-of-fold scores of a text view.

    ``folds`` and ``similarity`` (to the training set) have shape (papers,), ``scores`` per facet
    (members, papers, tags).
    """
    calibrations, probabilities = {}, {}
    for facet in data.taxonomy.facets:
        name = facet.name
        indices = np.flatnonzero(data.annotated[name])
        y_true, annotated = data.y_true[name][indices], scores[name][:, indices]
        calibrations[name] = fit_calibration(facet, y_true, annotated)
        probabilities[name] = calibrated_probabilities(facet, scores[name], calibrations[name])
        probabilities[name][indices] = cross_calibrate(facet, y_true, annotated, folds[indices])
    return CalibratedView(calibrations, OutOfFold(similarity, probabilities), scores)


def out_of_fold_by_effort(views: Mapping[str, CalibratedView]) -> dict[str, OutOfFold]:
    """Return the out-of-fold predictions of each effort: the mean over its text views."""
    efforts = {}
    for effort, names in EFFORTS.items():
        parts = [views[name].out_of_fold for name in names]
        efforts[effort] = OutOfFold(
            parts[-1].similarity,
            {
                facet: np.mean([part.probabilities[facet] for part in parts], axis=0)
                for facet in parts[-1].probabilities
            },
        )
    return efforts


def fit_threshold(facet: Facet, y_true: Booleans, probabilities: Floats) -> float:
    """Choose the threshold of a facet for micro-F1 on out-of-fold predictions.

    Both arrays have shape (papers, tags). The best threshold of calibrated probabilities is half of
    the best F1 (Lipton et al., "Optimal Thresholding of Classifiers to Maximize F1 Measure", 2014),
    about :data:`PRIOR_THRESHOLD`. Among the thresholds whose F1 is within one standard error of the
    highest, the one nearest to it is returned (Breiman et al., "Classification and Regression
    Trees", 1984). An exclusive facet, which needs no threshold, gets the default.
    """
    if facet.exclusive or not y_true.any():
        return DEFAULT_THRESHOLD
    weights = np.vstack([np.ones(len(y_true)), bootstrap_weights(len(y_true))[:_BOOTSTRAPS]])
    f1 = np.array(
        [
            weighted_figures(facet, y_true, probabilities, weights, threshold)["micro_f1"]
            for threshold in _THRESHOLDS
        ]
    )
    loss = f1[f1[:, 0].argmax()] - f1
    near = loss[:, 0] <= loss[:, 1:].std(axis=1)
    distance = np.where(near, np.abs(_THRESHOLDS - PRIOR_THRESHOLD), np.inf)
    return float(_THRESHOLDS[distance.argmin()])


def fit_calibration(facet: Facet, y_true: Booleans, scores: Floats) -> Calibration:
    """Fit a calibration on out-of-fold scores, shape (members, papers, tags).

    ``y_true`` has shape (papers, tags). Tags without a label are left out, since it is unknown
    which papers have them.
    """
    few = np.minimum(y_true.sum(axis=0), (~y_true).sum(axis=0)) < ENOUGH_LABELS
    capped = tuple(np.array(facet.tag_names)[few].tolist())
    if not y_true.any() or y_true[:, y_true.any(axis=0)].all():
        return Calibration(capped=capped)
    if facet.exclusive:
        from scipy.optimize import minimize_scalar

        def loss(log_scale: float) -> float:
            calibration = Calibration(float(np.exp(log_scale)))
            return -float(
                np.log(calibrated_probabilities(facet, scores, calibration)[y_true] + 1e-12).sum()
            )

        scale = float(np.exp(minimize_scalar(loss, bounds=_LOG_SCALES).x))
        return Calibration(scale, capped=capped)
    from sklearn.linear_model import LogisticRegression

    labelled = y_true.any(axis=0)
    summed = scores.sum(axis=0)[:, labelled].reshape(-1, 1)
    fitted = LogisticRegression().fit(summed, y_true[:, labelled].ravel())
    return Calibration(max(float(fitted.coef_[0, 0]), 0.0), float(fitted.intercept_[0]), capped)


def cross_calibrate(facet: Facet, y_true: Booleans, scores: Floats, folds: Integers) -> Floats:
    """Return probabilities of shape (papers, tags), each fold calibrated on the other folds."""
    probabilities = np.zeros(y_true.shape)
    for fold in np.unique(folds):
        other, own = folds != fold, folds == fold
        calibration = fit_calibration(facet, y_true[other], scores[:, other])
        probabilities[own] = calibrated_probabilities(facet, scores[:, own], calibration)
    return probabilities
