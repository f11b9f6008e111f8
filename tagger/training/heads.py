"""Fit the heads of a model on encoder vectors and TF-IDF terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Booleans, Floats, Vectors
from tagger.model import Calibration, Cues, Head, LexicalFeatures, Linear, terms_of
from tagger.papers import Paper
from tagger.taxonomy import Facet

ENCODER_C = {True: 0.7, False: 10.0}
LEXICAL_C = {True: 5.0, False: 10.0}
"""scikit-learn's C, the inverse of the regularisation strength, by whether a facet is exclusive."""
BLEND_LABELS = 4
"""Number of labels at which classifiers and similarity to the definition have equal weight."""
MAX_TERMS = 10_000
_MIN_SPREAD = 1e-6


class HeadInputs(NamedTuple):
    """The inputs of fitting the head of a facet.

    ``vectors`` have shape (views * papers, dimensions), one view after another, the whole text
    first; ``terms`` (papers, lexical features) and ``y_true`` (papers, tags). ``prototypes`` are
    the vectors of the definitions, shape (tags, dimensions). ``calibration`` is that of the head's
    scores, if it is known. ``cue_weights`` are those of :func:`tagger.model.cue_weights`, shape
    (tags, lexical features), or None without cues.
    """

    facet: Facet
    vectors: Vectors
    terms: Any
    y_true: Booleans
    prototypes: Vectors
    calibration: Calibration | None = None
    cue_weights: Floats | None = None


def fit_lexical(papers: Sequence[Paper], cues: Cues = ()) -> LexicalFeatures:
    """Fit lexical features on papers.

    Their terms are the :data:`MAX_TERMS` most frequent ones that at least two papers share.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer=terms_of, min_df=2, max_features=MAX_TERMS)
    try:
        vectorizer.fit(papers)
    except ValueError:  # no two papers share a term
        return LexicalFeatures((), np.zeros(0), cues)
    return LexicalFeatures(tuple(vectorizer.get_feature_names_out()), vectorizer.idf_, cues)


def lexical_terms(lexical: LexicalFeatures, papers: Sequence[Paper]) -> Any:
    """Return the lexical features of papers as a sparse matrix, shape (papers, features)."""
    from scipy.sparse import csr_matrix

    rows = lexical.transform(papers).rows
    columns = [place for place, _ in rows]
    ends = np.cumsum([0, *map(len, columns)])
    values = [weights for _, weights in rows]
    matrix = [np.concatenate([np.zeros(0), *parts]) for parts in (values, columns)]
    return csr_matrix((*matrix, ends), shape=(len(rows), lexical.size))


def fit_head(given: HeadInputs) -> Head:
    """Fit the classifiers of a facet.

    The definition of a tag counts as one more paper with it. The fewer labels a tag has, the more
    the similarity to its definition and its cues count.
    """
    facet, vectors, terms, y_true, prototypes, calibration, cue_weights = given
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
    by_cue = np.zeros_like(lexical.weights) if cue_weights is None else cue_weights
    if calibration and not facet.exclusive:  # its scores are logits already
        scale = max(calibration.scale, _MIN_SPREAD)
        bias = (by_definition.bias - calibration.shift) / scale
        by_definition = Linear(by_definition.weights / scale, bias)
        by_cue = by_cue / scale
    counts = np.minimum(y_true.sum(axis=0), (~y_true).sum(axis=0))
    share = counts**2 / (counts**2 + BLEND_LABELS**2)
    return Head(
        facet,
        Linear(
            share[:, None] * encoder.weights + (1 - share)[:, None] * by_definition.weights,
            share * encoder.bias + (1 - share) * by_definition.bias,
        ),
        Linear(
            share[:, None] * lexical.weights + (1 - share)[:, None] * by_cue,
            share * lexical.bias,
        ),
    )


def fit_linear(facet: Facet, features: Any, y_true: Booleans, c: float) -> Linear:
    """Fit logistic regression of the tags of a facet; ``c`` is scikit-learn's C.

    ``features`` are dense or sparse, shape (papers, features); ``y_true`` has shape (papers, tags).
    The tags of an exclusive facet have the square roots of balanced weights: with balanced ones,
    rare tags are predicted too often, and without weights too rarely. Tags of other facets have
    balanced weights.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.utils.class_weight import compute_class_weight

    papers, size = features.shape
    weights = np.zeros((len(facet.tags), size))
    # A tag of no paper, or of all, gets zero weights and a bias that predicts it for none, or all.
    always = y_true.all(axis=0) & y_true.any(axis=0)
    bias = np.where(always, 1.0, -1.0) * np.log(2.0 * max(papers, 1) + 1)

    def fit(classes: npt.NDArray[np.generic]) -> LogisticRegression:
        balanced = compute_class_weight("balanced", classes=np.unique(classes), y=classes)
        shares = np.sqrt(balanced) if facet.exclusive else balanced
        by_class = dict(zip(np.unique(classes), shares, strict=True))
        regression = LogisticRegression(C=c, max_iter=2000, class_weight=by_class)
        return regression.fit(features, classes)

    if not papers or not size:
        return Linear(weights, np.where(y_true.any(axis=0), 0, bias))
    if facet.exclusive:
        classifier = fit(y_true.argmax(axis=1))
        known = classifier.classes_
        weights[known], bias[known] = per_class(classifier.coef_, classifier.intercept_)
    else:
        for column in range(len(facet.tags)):
            if 0 < y_true[:, column].sum() < papers:
                classifier = fit(y_true[:, column])
                weights[column], bias[column] = classifier.coef_[0], classifier.intercept_[0]
    return Linear(weights, bias)


def per_class(weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """Return one row of weights and one bias per class; scikit-learn has one for two classes."""
    if len(weights) == 1:
        return np.vstack([-weights, weights]) / 2, np.append(-bias, bias) / 2
    return weights, bias


def fit_similarity(
    facet: Facet, vectors: Vectors, y_true: Booleans, prototypes: Vectors, classifier: Linear
) -> Linear | None:
    """Fit scores from the similarity to definitions, with one function for all tags of a facet.

    The similarity of a paper to a definition is their cosine minus its mean over labelled papers,
    divided by the standard deviation over all papers and tags. A linear function maps it to scores.
    It is fitted on the tags with labels, by logistic regression of ``y_true``; in an exclusive
    facet, whose tags compete, by least squares of the classifier's scores. Returns None if the
    similarity predicts nothing. This is dataless classification (Chang et al., "Importance of
    Semantic Representation: Dataless Classification", 2008).

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
