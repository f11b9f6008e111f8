"""Zero-shot: tags that are told by their definitions, and examples if any, without labels.

A tag is the likelier the nearer a paper is to its definition, by the pretrained bundled encoder.
Two things are taken off a cosine first. One is the cosine of the definition with a typical paper:
it is high for a definition in general terms, whatever the paper. The other is what the paper has in
common with all definitions of the taxonomy. Classification by the meaning of the label: Chang et
al., "Importance of Semantic Representation: Dataless Classification" (2008).

Without labels the threshold cannot be learned. It is set to what came out on labelled papers of
other taxonomies (``experiments/definitions_only.py``), on the careful side: see :data:`NEARNESS`
and :data:`SLOPE`. A model of definitions alone has no out-of-fold predictions, and no precision can
be promised of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from tagger._util.arrays import Floats, Vectors
from tagger.model.encoder import Encoder, Progress
from tagger.model.heads import Head, Linear
from tagger.model.model import TaggerModel
from tagger.model.tfidf import LexicalFeatures
from tagger.model.training_reference import OutOfFold, Reference
from tagger.papers import Paper
from tagger.taxonomy import Facet, Taxonomy

NEARNESS = 0.15
"""The rest of the cosine at which a tag of a facet that is not exclusive has probability 0.5: 0.14
to 0.16 on three labelled sets."""

SLOPE = {True: 8.0, False: 18.0}
"""Growth of the logit with the rest of the cosine, in exclusive facets and others. The lower of the
fitted values: where definitions tell tags well, confidences could be higher."""

_SHRINKAGE = 5.0
"""Papers without content that are mixed into the typical one: a few papers on one subject do not
show what is typical."""

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


def model_of_definitions(
    taxonomy: Taxonomy, papers: Sequence[Paper], encoder: Encoder, progress: Progress | None = None
) -> TaggerModel:
    """Return a model that tells tags by their definitions.

    ``papers``, those to be tagged, show what a typical paper is. At most 500 of them are encoded,
    evenly taken; with none, general definitions draw more than their share. With a single tag in
    all, no definition is nearer than another and the tag is never likely.
    """
    indices = np.linspace(0, len(papers) - 1, min(len(papers), _MAX_PAPERS)).astype(int)
    texts = [papers[index].text for index in indices]
    definitions = {facet.name: prototypes(facet, encoder) for facet in taxonomy.facets}
    common = np.concatenate(list(definitions.values())).mean(axis=0)
    typical = np.zeros_like(common)
    if texts:
        typical = encoder.encode(texts, progress).sum(axis=0) / (len(texts) + _SHRINKAGE)
    heads = []
    for facet in taxonomy.facets:
        weights = SLOPE[facet.exclusive] * (definitions[facet.name] - common).astype(np.float64)
        # In an exclusive facet tags compete: a threshold that all of them share cancels.
        threshold = SLOPE[facet.exclusive] * NEARNESS
        words = Linear(np.zeros((len(facet.tags), 0)), np.zeros(len(facet.tags)))
        heads.append(Head(facet, Linear(weights, -weights @ typical - threshold), words))
    none: dict[str, Floats] = {f.name: np.zeros((0, len(f.tags))) for f in taxonomy.facets}
    inputs = json.dumps([taxonomy.version, texts, NEARNESS, list(SLOPE.values()), _SHRINKAGE])
    digest = hashlib.sha256(inputs.encode()).hexdigest()
    return TaggerModel(
        taxonomy,
        encoder,
        LexicalFeatures((), np.zeros(0)),
        heads,
        Reference(
            (),
            (),
            np.zeros((0, len(common)), dtype=np.float32),
            {name: values > 0 for name, values in none.items()},
            {name: np.zeros(0, dtype=bool) for name in none},
            {"full": OutOfFold(np.zeros(0), none)},
        ),
        f"local/definitions-{digest[:12]}",
        digest,
    )
