"""Typical: one paper that stands for many, out of each group that has no label yet."""

from __future__ import annotations

import warnings

import numpy as np

from tagger._util.arrays import Integers, Vectors, unit
from tagger.review.strategies.base import Pool, Strategy

_MOST_CLUSTERS = 500
_NEIGHBOURS = 20
_PART = 1024
"""Papers whose distances are looked at together: all of a large cluster would fill the memory."""


class Typical(Strategy):
    """For the first labels: the most typical paper of each cluster, large clusters first.

    TypiClust (Hacohen, Dekel and Weinshall, "Active Learning on a Budget: Opposite Strategies Suit
    High and Low Budgets", 2022): as many k-means clusters as there will be labels; those with
    fewest labels come first, the larger ones before the smaller; typical is the paper whose
    nearest in the cluster, up to 20, are nearest on average.
    """

    def select(self, pool: Pool, count: int) -> list[int]:
        """Return typical papers of clusters with few labels."""
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
            # Papers with the same words make fewer clusters than asked for, which is as well.
            warnings.simplefilter("ignore", ConvergenceWarning)
            of = KMeans(clusters, n_init=3, random_state=0).fit_predict(everything)
        labels = np.bincount(of[len(papers) :], minlength=clusters)
        ranked = []
        for cluster in range(clusters):
            members = np.flatnonzero(of[: len(papers)] == cluster)
            for place, row in enumerate(_most_typical_first(papers, members)):
                # What is chosen before counts as labelled, and waits no more.
                ranked.append((labels[cluster] + place, place - len(members), cluster, row))
        return [row for _, _, _, row in sorted(ranked)[:count]]


def _most_typical_first(papers: Vectors, rows: Integers) -> list[int]:
    own = papers[rows]
    neighbours = min(_NEIGHBOURS, len(rows) - 1)
    spread = np.zeros(len(rows))
    for start in range(0, len(rows), _PART) if neighbours > 0 else ():
        cosines = own[start : start + _PART] @ own.T
        nearest = np.partition(-cosines, neighbours, axis=1)[:, : neighbours + 1]
        # Of vectors of length 1; the paper itself is at distance 0.
        distances = np.sqrt(np.maximum(2 + 2 * nearest, 0))
        spread[start : start + _PART] = distances.sum(axis=1) / neighbours
    return [int(row) for row in rows[np.argsort(spread, kind="stable")]]
