"""Versions: papers on which two versions of the model disagree, to compare them with few labels."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tagger._util.arrays import Booleans, Floats
from tagger.model import ReviewRule, TaggerModel
from tagger.review.strategies.base import Pool, Strategy
from tagger.review.tasks import Queue


class Versions(Strategy):
    """Papers on which two versions disagree, first those on which one of them is probably right.

    McNemar's test, "Note on the sampling error of the difference between correlated proportions or
    percentages" (1947), learns only from papers on which exactly one version is right. The score of
    a paper is their expected number over facets, by the mean of the probabilities of both versions.
    Papers on which the versions agree are not chosen.

    Parameters
    ----------
    rule:
        The rule of the version that made the predictions of the pool.
    other:
        The other version. Facets that it lacks, or whose tags differ, are not compared.
    """

    queue: ClassVar[Queue | None] = "versions"

    def __init__(self, rule: ReviewRule, other: TaggerModel) -> None:
        self.rule, self.other = rule, other

    def select(self, pool: Pool, count: int) -> list[int]:
        """Return papers on which the versions disagree, most informative first."""
        others = self.other.predict_proba(pool.papers)
        known = {facet.name: facet for facet in self.other.taxonomy.facets}
        score = np.zeros(len(pool.papers))
        for facet in pool.taxonomy.facets:
            if facet.name not in known or facet.tag_names != known[facet.name].tag_names:
                continue
            both = [pool.predictions.probabilities[facet.name], others[facet.name]]
            rules = [self.rule, self.other.rule()]
            tags = [r.predict_labels(facet, p) for r, p in zip(rules, both, strict=True)]
            mean = np.mean(both, axis=0)
            right = sum(_probability(each, mean, exclusive=facet.exclusive) for each in tags)
            score += np.where((tags[0] != tags[1]).any(axis=1), right, 0)
        order = np.argsort(-score, kind="stable")[:count]
        return [int(index) for index in order if score[index] > 0]


def _probability(tags: Booleans, probabilities: Floats, *, exclusive: bool) -> Floats:
    """Return the probability that exactly these tags are right; all have shape (papers, tags)."""
    if exclusive:
        return np.asarray((tags * probabilities).sum(axis=1))
    return np.asarray(np.where(tags, probabilities, 1 - probabilities).prod(axis=1))
