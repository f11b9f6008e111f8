"""Uncertainty: papers with the highest entropy of their predictions."""

from __future__ import annotations

import numpy as np

from tagger._util.arrays import Floats
from tagger.review.strategies.base import Pool, ScoringStrategy, entropy


class Uncertainty(ScoringStrategy):
    """Papers with the highest entropy of their predictions (entropy sampling).

    The score of an exclusive facet is the entropy over its tags, divided by its maximum; that of
    any other facet is the mean binary entropy of its tags. The score of a paper is the mean over
    facets, from 0 to 1 (Settles, "Active Learning Literature Survey", 2009).
    """

    def score(self, pool: Pool) -> Floats:
        """Return the normalized entropy of each paper."""
        scores = []
        for facet in pool.taxonomy.facets:
            probabilities = pool.predictions.probabilities[facet.name]
            if facet.exclusive:
                scores.append(entropy(probabilities) / np.log2(len(facet.tags)))
            else:
                binary = np.stack([probabilities, 1 - probabilities], axis=-1)
                scores.append(entropy(binary).mean(axis=1))
        return np.asarray(np.mean(scores, axis=0))
