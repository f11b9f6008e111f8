"""Disagreement: papers of which the model's parts say different things."""

from __future__ import annotations

import numpy as np

from tagger._util.arrays import Floats
from tagger.review.strategies.base import Pool, ScoringStrategy, entropy


class Disagreement(ScoringStrategy):
    """Query by committee, with the encoder's and the words' classifier for its members.

    The score of a facet is the Jensen-Shannon divergence of what the members say (McCallum and
    Nigam, "Employing EM and Pool-Based Active Learning for Text Classification", 1998), in bits;
    in a facet that is not exclusive, of the tag they differ most on. A paper's score is the mean
    over facets, 0 to 1.
    """

    def score(self, pool: Pool) -> Floats:
        """Return how far the members are apart on each paper."""
        scores = []
        for facet in pool.taxonomy.facets:
            members = pool.predictions.members[facet.name]
            if facet.exclusive:
                scores.append(_divergence(members))
            else:
                scores.append(_divergence(np.stack([members, 1 - members], axis=-1)).max(axis=1))
        return np.asarray(np.mean(scores, axis=0))


def _divergence(members: Floats) -> Floats:
    """Jensen-Shannon divergence over the last axis, members along the first."""
    return np.asarray(entropy(members.mean(axis=0)) - entropy(members).mean(axis=0))
