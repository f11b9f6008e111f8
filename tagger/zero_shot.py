"""Tags that have no labels yet, told by their definitions and examples.

How near a paper must be to a definition before the tag holds is learned from the tags that have
labels. Classification by the meaning of the label: Chang et al., "Importance of Semantic
Representation: Dataless Classification" (2008).
"""

from __future__ import annotations

import numpy as np

from tagger.encoder import Encoder, Vectors
from tagger.evaluation import Booleans
from tagger.heads import Calibration, Floats, Linear
from tagger.taxonomy import Facet, Taxonomy

_LEAST_SPREAD = 1e-6
_FREEDOM = 1.0
"""scikit-learn's C of the one weight and bias that all tags share."""


def encode_descriptions(taxonomy: Taxonomy, encoder: Encoder) -> dict[str, Vectors]:
    """Return vectors of the ``descriptions`` of each facet, shape (descriptions, dimensions)."""
    return {facet.name: encoder.encode(facet.descriptions) for facet in taxonomy.facets}


def prototypes(facet: Facet, descriptions: Vectors) -> Vectors:
    """Return one vector a tag, of unit length: the mean of its definition and its examples.

    Snell et al., "Prototypical Networks for Few-shot Learning" (2017).

    Parameters
    ----------
    facet:
        The facet.
    descriptions:
        Vectors of its ``descriptions``, of unit length, shape (descriptions, dimensions).
    """
    sums = np.zeros((len(facet.tags), descriptions.shape[1]))
    np.add.at(sums, np.array(facet.described_tags), descriptions)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(lengths, _LEAST_SPREAD), dtype=np.float32)


def score_by_definition(
    facet: Facet,
    classifier: Linear,
    vectors: Vectors,
    definitions: Vectors,
    truth: Booleans,
    told: Booleans,
    calibration: Calibration,
) -> Linear:
    """Return a classifier that tells some tags by their definitions.

    The nearness of a paper to a definition is its cosine less that of labelled papers on average,
    in units of the spread over all papers and tags. Over the tags that have labels it is mapped to
    what a classifier would say: by logistic regression of the truth where a facet is not exclusive;
    in an exclusive one, where scores of tags stand against each other, by least squares of the
    classifier's own. Nothing changes if nearness says nothing.

    Parameters
    ----------
    facet:
        The facet.
    classifier:
        Fitted on the vectors and the truth.
    vectors:
        Of unit length, shape (papers, dimensions).
    definitions:
        Of the facet's tags, see :func:`prototypes`, shape (tags, dimensions).
    truth:
        Shape (papers, tags), with a tag at least.
    told:
        Which tags are to be told by their definitions, shape (tags,).
    calibration:
        By which scores of the classifier are expected to become probabilities.
    """
    known = np.asarray(truth.any(axis=0))
    cosines = (vectors @ definitions.T).astype(np.float64)
    centre = cosines.mean(axis=0)
    spread = max(float((cosines - centre).std()), _LEAST_SPREAD)
    nearness = (cosines - centre) / spread
    if facet.exclusive:
        slope, offset = _by_scores(nearness[:, known], classifier.scores(vectors)[:, known])
    else:
        slope, offset = _by_truth(nearness[:, known], truth[:, known])
        scale = calibration.scales[0]
        slope, offset = slope / scale, (offset - calibration.shift) / scale
    if slope <= 0:
        return classifier
    return Linear(
        np.where(told[:, None], slope / spread * definitions, classifier.weights),
        np.where(told, offset - slope / spread * centre, classifier.bias),
    )


def _by_scores(nearness: Floats, scores: Floats) -> tuple[float, float]:
    if not nearness.any():
        return 0.0, 0.0
    slope, offset = np.polyfit(nearness.ravel(), scores.ravel(), 1)
    return float(slope), float(offset)


def _by_truth(nearness: Floats, truth: Booleans) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression

    if truth.all():
        return 0.0, 0.0
    fitted = LogisticRegression(C=_FREEDOM).fit(nearness.reshape(-1, 1), truth.ravel())
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
