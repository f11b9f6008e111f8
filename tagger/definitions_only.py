"""A model for a review without labels: every tag is told by its definition, and examples if any.

A tag is the likelier the nearer a paper is to its definition, by the bundled encoder as it comes.
Two things are taken off a cosine first. One is the cosine of the definition with a typical paper:
it is high for a definition in general terms, whatever the paper. The other is what the paper has in
common with all definitions of the taxonomy. Classification by the meaning of the label: Chang et
al., "Importance of Semantic Representation: Dataless Classification" (2008).

How near is near enough cannot be learned without labels. It is set to what came out on labelled
papers of other taxonomies (``experiments/definitions_only.py``), on the careful side: see
:data:`NEARNESS` and :data:`SLOPE`. Nothing is known of how right such a model is on papers of one's
own, so it remembers no held-out papers, and no precision can be promised of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from tagger.encoder import Encoder, Progress, Vectors
from tagger.heads import Head, Linear
from tagger.lexical import LexicalFeatures
from tagger.model import TaggerModel
from tagger.paper import Paper
from tagger.reference import Reference
from tagger.taxonomy import Taxonomy
from tagger.zero_shot import encode_descriptions, prototypes

NEARNESS = 0.15
"""What is left of the cosine where a tag of a facet that is not exclusive is as likely as not: 0.14
to 0.16 on three labelled sets."""

SLOPE = {True: 8.0, False: 18.0}
"""How fast the logit grows with it, in exclusive facets and others. Of what was fitted, the lower
values: where definitions tell tags well, confidences could be higher."""

_SHRINKAGE = 5.0
"""So many papers without content are mixed into the typical one: a few papers on one subject are
no measure of what is typical."""

_MOST_PAPERS = 500


def model_of_definitions(
    taxonomy: Taxonomy,
    papers: Sequence[Paper],
    encoder: Encoder,
    progress: Progress | None = None,
) -> TaggerModel:
    """Return a model that tells tags by their definitions.

    Parameters
    ----------
    taxonomy:
        The tags. With a single tag in all, no definition is nearer than another and the tag is
        never likely.
    papers:
        Without labels, the ones to be tagged: they show what a typical paper is. At most 500 of
        them are looked at, evenly taken; with none, general definitions draw more than their share.
    encoder:
        Not fine-tuned.
    progress:
        Called with papers done and papers in all.
    """
    rows = np.linspace(0, len(papers) - 1, min(len(papers), _MOST_PAPERS)).astype(int)
    texts = [papers[row].text for row in rows]
    descriptions = encode_descriptions(taxonomy, encoder)
    definitions = {
        facet.name: prototypes(facet, descriptions[facet.name]) for facet in taxonomy.facets
    }
    common = np.concatenate(list(definitions.values())).mean(axis=0)
    typical = np.zeros_like(common)
    if texts:
        typical = encoder.encode(texts, progress).sum(axis=0) / (len(texts) + _SHRINKAGE)
    heads = []
    for facet in taxonomy.facets:
        weights = SLOPE[facet.exclusive] * (definitions[facet.name] - common).astype(np.float64)
        # In an exclusive facet tags stand against each other: what all of them share cancels.
        threshold = SLOPE[facet.exclusive] * NEARNESS
        words = Linear(np.zeros((len(facet.tags), 0)), np.zeros(len(facet.tags)))
        heads.append(Head(facet, Linear(weights, -weights @ typical - threshold), words))
    inputs = json.dumps([taxonomy.version, texts, NEARNESS, list(SLOPE.values()), _SHRINKAGE])
    digest = hashlib.sha256(inputs.encode()).hexdigest()
    return TaggerModel(
        taxonomy,
        encoder,
        LexicalFeatures((), np.zeros(0)),
        heads,
        _without_papers(taxonomy, common),
        f"local/definitions-{digest[:12]}",
        digest,
    )


def _without_papers(taxonomy: Taxonomy, like: Vectors) -> Reference:
    sizes = {facet.name: len(facet.tags) for facet in taxonomy.facets}
    return Reference(
        (),
        (),
        np.zeros((0, len(like)), dtype=np.float32),
        np.zeros(0),
        {name: np.zeros((0, size)) for name, size in sizes.items()},
        {name: np.zeros((0, size), dtype=bool) for name, size in sizes.items()},
        {name: np.zeros(0, dtype=bool) for name in sizes},
    )
