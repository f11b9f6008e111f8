"""Zero-shot models: predict tags from their definitions and examples, without labels.

The probability of a tag grows with the cosine similarity of the paper and the definition, as
vectors of the pretrained encoder. Two terms are subtracted from it first: the similarity of the
definition to a typical paper, which is high for a general definition, and the similarity of the
paper to the mean of all definitions of the taxonomy. This is dataless classification (Chang et al.,
"Importance of Semantic Representation: Dataless Classification", 2008).

Without labels, threshold and slope cannot be fitted. :data:`MIDPOINT` and :data:`SLOPE` are
cautious values, fitted on labelled papers of several taxonomies (``experiments/baselines.py``
measures them). Such a model has no out-of-fold predictions, so it cannot guarantee a precision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from tagger._util.arrays import Floats, Vectors
from tagger._util.progress import StepProgress
from tagger.model.cues import CUE_SCORE, cue_weights, cues_of
from tagger.model.encoder import Encoder
from tagger.model.heads import Head, Linear
from tagger.model.model import TaggerModel
from tagger.model.tfidf import LexicalFeatures
from tagger.model.training_reference import OutOfFold, Reference
from tagger.papers import Paper
from tagger.taxonomy import Facet, Taxonomy

MIDPOINT = 0.15
"""The reduced cosine at which a tag of a facet that is not exclusive has probability 0.5: 0.14 to
0.16 on three labelled sets."""

SLOPE = {True: 8.0, False: 18.0}
"""Slope of the logit over the reduced cosine, for exclusive facets (True) and others: the lowest
fitted values, so confidences tend to be too low rather than too high."""

_SHRINKAGE = 5.0
"""Number of zero vectors added to the mean of the papers, since a few papers on one subject are not
typical."""

_MAX_PAPERS = 500


def prototypes(facet: Facet, encoder: Encoder) -> Vectors:
    """Return the mean of the vectors of a tag's definition and examples, shape (tags, dimensions).

    They have unit length. Snell et al., "Prototypical Networks for Few-shot Learning" (2017).
    """
    vectors = encoder.encode(facet.descriptions)
    sums = np.zeros((len(facet.tags), vectors.shape[1]))
    of_examples = [place for place, tag in enumerate(facet.tags) for _ in tag.examples]
    np.add.at(sums, [*range(len(facet.tags)), *of_examples], vectors)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.maximum(lengths, 1e-6), dtype=np.float32)


def typical_vector(vectors: Vectors) -> Vectors:
    """Return the vector of a typical paper, given those of some, shape (dimensions,)."""
    return np.asarray(vectors.sum(axis=0) / (len(vectors) + _SHRINKAGE))


def head_of_definitions(
    facet: Facet, definitions: Mapping[str, Vectors], typical: Vectors, lexical: Floats
) -> Head:
    """Return the head of a facet without labels.

    ``definitions`` holds the :func:`prototypes` of all facets, ``typical`` the
    :func:`typical_vector`, ``lexical`` the :func:`tagger.model.cues.cue_weights`.
    """
    common = np.concatenate(list(definitions.values())).mean(axis=0)
    weights = SLOPE[facet.exclusive] * (definitions[facet.name] - common).astype(np.float64)
    # In an exclusive facet the threshold cancels, because all tags share it.
    bias = -weights @ typical - SLOPE[facet.exclusive] * MIDPOINT
    return Head(facet, Linear(weights, bias), Linear(lexical, np.zeros(len(facet.tags))))


def model_of_definitions(
    taxonomy: Taxonomy,
    papers: Sequence[Paper],
    encoder: Encoder,
    progress: StepProgress | None = None,
) -> TaggerModel:
    """Return a model that predicts tags from their definitions.

    The typical paper is the mean of at most 500 of ``papers``, the papers to tag. Without papers,
    tags with general definitions are predicted too often. If the taxonomy has only one tag, that
    tag is never predicted.
    """
    indices = np.linspace(0, len(papers) - 1, min(len(papers), _MAX_PAPERS)).astype(int)
    texts = [papers[index].text for index in indices]
    definitions = {facet.name: prototypes(facet, encoder) for facet in taxonomy.facets}
    dimensions = definitions[taxonomy.facets[0].name].shape[1]
    no_vectors = np.zeros((0, dimensions), dtype=np.float32)
    vectors = encoder.encode(texts, progress) if texts else no_vectors
    typical = typical_vector(vectors)
    cues = cues_of(taxonomy)
    heads = {}
    for facet in taxonomy.facets:
        by_cue = cue_weights(taxonomy, facet, len(cues))
        heads[facet.name] = head_of_definitions(facet, definitions, typical, by_cue)
    none: dict[str, Floats] = {f.name: np.zeros((0, len(f.tags))) for f in taxonomy.facets}
    inputs = json.dumps(
        [taxonomy.version, texts, MIDPOINT, list(SLOPE.values()), _SHRINKAGE, CUE_SCORE]
    )
    digest = hashlib.sha256(inputs.encode()).hexdigest()
    return TaggerModel(
        taxonomy,
        encoder,
        LexicalFeatures((), np.zeros(0), cues),
        heads,
        Reference(
            (),
            (),
            no_vectors,
            {name: values > 0 for name, values in none.items()},
            {name: np.zeros(0, dtype=bool) for name in none},
            {"full": OutOfFold(np.zeros(0), none)},
        ),
        f"local/definitions-{digest[:12]}",
        digest,
    )
