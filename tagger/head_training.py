"""Fit heads and their calibration on vectors and words that do not change any more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagger.encoder import Vectors
from tagger.evaluation import Booleans, Integers
from tagger.heads import Calibration, Floats, Head, Linear, probabilities
from tagger.taxonomy import Facet
from tagger.zero_shot import prototypes, score_by_definition

ENCODER_C = {True: 1.0, False: 10.0}
LEXICAL_C = 10.0
"""Freedom of the weights, for exclusive facets and others: scikit-learn's C."""

_USUAL = {True: Calibration((2.2, 1.85)), False: Calibration((2.2, 0.3), 0.7)}
_SPREAD = np.array([0.4, 0.4, 0.7])
"""What calibrations come out at with 150 labels, and the standard deviation of what is believed
before any label is looked at: of the logarithms of the scales, and of the shift."""


def fit_head(
    facet: Facet,
    vectors: Vectors,
    terms: Floats,
    truth: Booleans,
    descriptions: Vectors | None = None,
    told: Booleans | None = None,
) -> Head:
    """Fit the classifiers of a facet; their calibration is left at its default.

    Parameters
    ----------
    facet:
        The facet.
    vectors:
        Of the encoder, shape (views * papers, dimensions): those of all papers, then of another
        view of each, and so on.
    terms:
        Lexical features, shape (papers, terms).
    truth:
        Shape (papers, tags).
    descriptions:
        Vectors of the facet's ``descriptions``, shape (descriptions, dimensions): so many papers
        more of each tag that has labels.
    told:
        Which tags are told by their descriptions, shape (tags,); others without labels are never
        given.
    """
    seen = np.tile(truth, (len(vectors) // max(len(truth), 1), 1))
    own, known = vectors[: len(truth)], np.asarray(truth.any(axis=0))
    if descriptions is not None:
        tags = np.array(facet.described_tags)
        used = known[tags]
        vectors = np.concatenate([vectors, descriptions[used]])
        seen = np.concatenate([seen, np.array(facet.implied)[tags[used]]])
    encoder = fit_linear(facet, vectors, seen, ENCODER_C[facet.exclusive])
    lexical = fit_linear(facet, terms, truth, LEXICAL_C)
    if descriptions is not None and told is not None and known.any():
        usual, typical = _USUAL[facet.exclusive], prototypes(facet, descriptions)
        encoder = score_by_definition(facet, encoder, own, typical, truth, told, usual)
        # Words say nothing on such a tag, for or against it.
        lexical.bias[told] = 0
    return Head(facet, encoder, lexical)


def fit_linear(
    facet: Facet, features: npt.NDArray[np.floating], truth: Booleans, strength: float
) -> Linear:
    """Fit logistic regression of the tags of a facet.

    Parameters
    ----------
    facet:
        The facet.
    features:
        Shape (papers, features).
    truth:
        Shape (papers, tags).
    strength:
        scikit-learn's C, the freedom given to weights.
    """
    from sklearn.linear_model import LogisticRegression

    weights = np.zeros((len(facet.tags), features.shape[1]))
    # A tag that no paper has, or that all have, keeps no weights and the bias of never or always.
    bias = np.where(_held_by_all(truth), 1.0, -1.0) * np.log(2.0 * max(len(features), 1) + 1)

    def fit(answers: npt.NDArray[np.generic]) -> LogisticRegression:
        classifier = LogisticRegression(C=strength, max_iter=2000, class_weight="balanced")
        return classifier.fit(features, answers)

    if not features.size:
        return Linear(weights, np.where(truth.any(axis=0), 0, bias))
    if facet.exclusive:
        classifier = fit(truth.argmax(axis=1))
        known = classifier.classes_
        if len(known) == 2:
            weights[known] = np.concatenate([-classifier.coef_ / 2, classifier.coef_ / 2])
            bias[known] = np.concatenate([-classifier.intercept_ / 2, classifier.intercept_ / 2])
        else:
            weights[known], bias[known] = classifier.coef_, classifier.intercept_
    else:
        for column in range(len(facet.tags)):
            if 0 < truth[:, column].sum() < len(truth):
                classifier = fit(truth[:, column])
                weights[column], bias[column] = classifier.coef_[0], classifier.intercept_[0]
    return Linear(weights, bias)


def _held_by_all(truth: Booleans) -> Booleans:
    return np.asarray(truth.all(axis=0) & truth.any(axis=0))


def fit_calibration(
    facet: Facet, truth: Booleans, scores: Floats, usual: Calibration | None = None
) -> Calibration:
    """Fit the calibration of a facet on scores of papers that the head had not seen.

    Maximum a posteriori with a normal prior around what is usual: few labels say little about how
    far to trust one part of the head against the other, and a version should not differ from the
    one before for that.

    Parameters
    ----------
    facet:
        The facet.
    truth:
        Shape (papers, tags).
    scores:
        Shape (parts, papers, tags).
    usual:
        What is believed before; without it, what calibrations usually come out at.
    """
    from scipy.optimize import minimize

    usual = usual or _USUAL[facet.exclusive]
    start = np.array([*np.log(usual.scales), usual.shift])

    def calibration_at(parameters: npt.NDArray[np.float64]) -> Calibration:
        *log_scales, shift = parameters
        scales = tuple(float(scale) for scale in np.exp(log_scales))
        return Calibration(scales, 0.0 if facet.exclusive else float(shift))

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        chances = probabilities(facet, scores, calibration_at(parameters))
        chances = np.clip(chances, 1e-12, 1 - 1e-12)
        if facet.exclusive:
            likelihood = np.log(chances[truth]).sum()
        else:
            likelihood = np.log(np.where(truth, chances, 1 - chances)).sum()
        return float(-likelihood + 0.5 * (((parameters - start) / _SPREAD) ** 2).sum())

    return calibration_at(minimize(loss, start, method="Nelder-Mead").x)


def cross_calibrate(
    facet: Facet,
    truth: Booleans,
    scores: Floats,
    parts: Sequence[Integers],
    usual: Calibration | None = None,
) -> Floats:
    """Calibrate each part by what the other parts say, so that its figures stay honest.

    Parameters
    ----------
    facet:
        The facet.
    truth:
        Shape (papers, tags).
    scores:
        Shape (parts of the head, papers, tags).
    parts:
        The rows of each part of the papers.
    usual:
        As for :func:`fit_calibration`.

    Returns
    -------
    ndarray
        Probabilities, shape (papers, tags).
    """
    calibrated = np.zeros(truth.shape)
    for part in parts:
        others = np.setdiff1d(np.arange(len(truth)), part)
        calibration = fit_calibration(facet, truth[others], scores[:, others], usual)
        calibrated[part] = probabilities(facet, scores[:, part], calibration)
    return calibrated
