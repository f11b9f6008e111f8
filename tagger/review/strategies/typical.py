"""Typical: the most typical paper of each cluster without labels, for the first labels."""

from __future__ import annotations

import warnings

import numpy as np

from tagger._util.arrays import Integers, Vectors, unit
from tagger.review.strategies.base import Pool, Strategy

_MOST_CLUSTERS = 500
_NEIGHBOURS = 20


class Typical(Strategy):
    """The most typical paper of each cluster, large clusters first; for the first labels.

    TypiClust (Hacohen, Dekel and Weinshall, "Active Learning on a Budget: Opposite Strategies Suit
    High and Low Budgets", 2022). There are as many k-means clusters as labels, including the new
    ones. Clusters with fewest labels come first, then larger ones. The most typical paper of a
    cluster has the smallest mean distance to its 20 nearest neighbours there.
    """

    def select(self, pool: Pool, count: int) -> list[int]:
        """Return the most typical papers of the clusters with fewest labels."""
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

        papers = unit(pool.predictions.vectors)
        count = min(count, len(papers))
        if not count:
            return []
        known = unit(pool.known) if len(pool.known) else papers[:0]
        everything = np.concatenate([papers, known])
        clusters = min(len(known) + count, len(everything), _MOST_CLUSTERS)
        with warnings.catch_warnings():
            # Duplicate vectors make fewer clusters than requested, which does no harm.
            warnings.simplefilter("ignore", ConvergenceWarning)
            cluster_of = KMeans(clusters, n_init=3, random_state=0).fit_predict(everything)
        labels = np.bincount(cluster_of[len(papers) :], minlength=clusters)
        ranked = []
        for cluster in range(clusters):
            members = np.flatnonzero(cluster_of[: len(papers)] == cluster)
            for rank, index in enumerate(_most_typical_first(papers, members)):
                # A paper chosen earlier counts as a label of its cluster.
                ranked.append((labels[cluster] + rank, rank - len(members), cluster, index))
        return [index for _, _, _, index in sorted(ranked)[:count]]


def _most_typical_first(papers: Vectors, indices: Integers) -> list[int]:
    from sklearn.neighbors import NearestNeighbors

    if len(indices) > 1:
        nearest = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(indices) - 1))
        distances, _ = nearest.fit(papers[indices]).kneighbors()
        indices = indices[np.argsort(distances.mean(axis=1), kind="stable")]
    return [int(index) for index in indices]
