"""Typical: one paper that stands for many, out of each group that has no label yet."""

from __future__ import annotations

import warnings

import numpy as np

from tagger.encoder import Vectors
from tagger.evaluation import Integers
from tagger.strategies.base import Pool, Strategy, unit

_MOST_CLUSTERS = 500
_NEIGHBOURS = 20


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
        waiting = {
            cluster: _most_typical_first(papers, np.flatnonzero(of[: len(papers)] == cluster))
            for cluster in range(clusters)
        }
        chosen: list[int] = []
        while len(chosen) < count:
            open_clusters = [cluster for cluster in waiting if waiting[cluster]]
            cluster = min(open_clusters, key=lambda c: (labels[c], -len(waiting[c]), c))
            chosen.append(waiting[cluster].pop(0))
            labels[cluster] += 1
        return chosen


def _most_typical_first(papers: Vectors, rows: Integers) -> list[int]:
    if len(rows) < 2:
        return [int(row) for row in rows]
    distances = np.sort(np.linalg.norm(papers[rows][:, None] - papers[rows][None], axis=2), axis=1)
    spread = distances[:, 1 : _NEIGHBOURS + 1].mean(axis=1)
    return [int(row) for row in rows[np.argsort(spread, kind="stable")]]
