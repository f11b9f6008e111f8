"""Uncertainty: the papers whose tags are closest to a tie."""

from __future__ import annotations

import numpy as np

from tagger.heads import Floats
from tagger.strategies.base import Pool, ScoringStrategy


class Uncertainty(ScoringStrategy):
    """Small margins first.

    The doubt of an exclusive facet is 1 less the lead of its likeliest tag over the second
    (margin sampling: Scheffer et al., "Active Hidden Markov Models for Information Extraction",
    2001); that of any other facet is 1 less the lead of yes over no, or no over yes, for the tag
    nearest to a tie. A paper's doubt is the mean over facets, 0 to 1.
    """

    def score(self, pool: Pool) -> Floats:
        """Return the doubt of each paper."""
        doubts = []
        for facet in pool.taxonomy.facets:
            chances = pool.predictions.probabilities[facet.name]
            if facet.exclusive:
                ranked = np.sort(chances, axis=1)
                doubts.append(1 - (ranked[:, -1] - ranked[:, -2]))
            else:
                doubts.append(1 - np.abs(2 * chances - 1).min(axis=1))
        return np.asarray(np.mean(doubts, axis=0))
