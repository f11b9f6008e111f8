"""Uncertainty: the papers whose tags the model knows least about."""

from __future__ import annotations

import numpy as np

from tagger._util.arrays import Floats
from tagger.review.strategies.base import Pool, ScoringStrategy, entropy


class Uncertainty(ScoringStrategy):
    """High entropy first, every facet counting alike.

    Entropy sampling (Settles, "Active Learning Literature Survey", 2009). The doubt of an
    exclusive facet is the entropy of its tags, that of any other facet the mean entropy of having
    each tag or not, both as a share of the largest there can be. A paper's doubt is the mean over
    facets, 0 to 1.
    """

    def score(self, pool: Pool) -> Floats:
        """Return the doubt of each paper."""
        doubts = []
        for facet in pool.taxonomy.facets:
            probabilities = pool.predictions.probabilities[facet.name]
            if facet.exclusive:
                doubts.append(entropy(probabilities) / np.log2(len(facet.tags)))
            else:
                binary = np.stack([probabilities, 1 - probabilities], axis=-1)
                doubts.append(entropy(binary).mean(axis=1))
        return np.asarray(np.mean(doubts, axis=0))
