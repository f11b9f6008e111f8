"""Disagreement: papers on which the members of the model's ensemble disagree."""

from __future__ import annotations

import numpy as np

from tagger._util.arrays import Floats
from tagger.review.strategies.base import Pool, ScoringStrategy, entropy


class Disagreement(ScoringStrategy):
    """Papers on which the embedding and TF-IDF classifiers disagree (query by committee).

    The score of an exclusive facet is the Jensen-Shannon divergence of the members' predictions,
    in bits (McCallum and Nigam, "Employing EM and Pool-Based Active Learning for Text
    Classification", 1998). In any other facet it is the largest divergence over its tags. The
    score of a paper is the mean over facets, from 0 to 1.
    """

    def score(self, pool: Pool) -> Floats:
        """Return the disagreement on each paper."""
        scores = []
        for facet in pool.taxonomy.facets:
            members = pool.predictions.members[facet.name]
            if facet.exclusive:
                scores.append(_divergence(members))
            else:
                scores.append(_divergence(np.stack([members, 1 - members], axis=-1)).max(axis=1))
        return np.asarray(np.mean(scores, axis=0))


def _divergence(members: Floats) -> Floats:
    """Return the Jensen-Shannon divergence over the last axis, with members along the first."""
    return np.asarray(entropy(members.mean(axis=0)) - entropy(members).mean(axis=0))
