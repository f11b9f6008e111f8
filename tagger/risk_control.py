"""A rule for accepting tags that keeps a promise: at most so many of the accepted ones are wrong.

The least confidence at which a tag is accepted is read off papers that the model had not seen.
Of ``n`` such papers at or above a threshold with ``w`` wrong tags, ``(1 + w) / (1 + n)`` bounds the
share of wrong tags among the next papers from the same source, as in Jin and Candès, "Selection by
Prediction with Conformal p-values" (2023); choosing what to answer is selective classification
(Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", 2017). The promise is on
average over draws of labelled papers and digests alike, and holds for digests that are like the
labelled papers; how far they are is what :mod:`tagger.drift` says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tagger.decision import ReviewRule
from tagger.evaluation import Booleans, assign
from tagger.heads import Floats
from tagger.reference import Reference
from tagger.taxonomy import Facet, Taxonomy

NEVER = 2.0
"""A confidence that no tag has."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A rule that keeps a promise, and for which facets nothing can be promised.

    Parameters
    ----------
    rule:
        What to accept.
    coverage:
        Per facet, the share of held-out papers in which no tag needs review.
    shortfalls:
        In words, one for each facet that has too few labels for its tags to be accepted.
    """

    rule: ReviewRule
    coverage: dict[str, float]
    shortfalls: tuple[str, ...]


def promise_precision(
    reference: Reference, taxonomy: Taxonomy, target: float, min_confidence: float
) -> Promise:
    """Return the rule that accepts as many tags as a target precision allows.

    An exclusive facet has one threshold. In any other, a tag that was given often enough to judge
    it alone has one of its own, and the rarer ones share one; the absence of a tag is doubted by
    ``min_confidence`` as without a promise.

    Parameters
    ----------
    reference:
        What the model's folds said of papers that they held out, and the truth.
    taxonomy:
        What the tags are of.
    target:
        Share of accepted tags that are to be right, above 0 and below 1.
    min_confidence:
        See :class:`tagger.decision.ReviewRule`.
    """
    accept, coverage, shortfalls = {}, {}, []
    for facet in taxonomy.facets:
        judged = reference.judged[facet.name]
        chances = reference.probabilities[facet.name][judged]
        thresholds = _thresholds(facet, reference.truth[facet.name][judged], chances, target)
        accept[facet.name] = thresholds
        rule = ReviewRule(min_confidence, {facet.name: thresholds})
        coverage[facet.name] = float(1 - rule.doubts(facet, chances).mean()) if len(chances) else 0
        refused = [tag for tag, threshold in thresholds.items() if threshold == NEVER]
        if refused:
            of_tags = "" if len(refused) == len(facet.tags) else f" of {', '.join(refused)}"
            shortfalls.append(
                f"{facet.name}: {len(chances)} labelled papers are too few, or too hard, to "
                f"promise that {target:.0%} of the tags{of_tags} are right; all go to review"
            )
    return Promise(ReviewRule(min_confidence, accept), coverage, tuple(shortfalls))


def least_confidence(confidence: Floats, right: Booleans, target: float) -> float:
    """Return the least confidence at which tags are accepted; ``NEVER`` if at none.

    Parameters
    ----------
    confidence, right:
        Of tags given to held-out papers, shape (tags given,).
    target:
        Share of accepted tags that are to be right.
    """
    order = np.argsort(-confidence, kind="stable")
    accepted = np.arange(1, len(order) + 1)
    wrong = np.cumsum(~right[order])
    # Tags of equal confidence are accepted together or not at all.
    last = np.append(np.diff(confidence[order]) != 0, True)[: len(order)]
    kept = last & ((1 + wrong) / (1 + accepted) <= 1 - target + 1e-12)
    if not kept.any():
        return NEVER
    return float(confidence[order][np.flatnonzero(kept)[-1]])


def _thresholds(facet: Facet, truth: Booleans, chances: Floats, target: float) -> dict[str, float]:
    given = assign(facet, chances)
    right = given & truth
    pooled = least_confidence(chances[given], right[given], target)
    thresholds = dict.fromkeys(facet.tag_names, pooled)
    if facet.exclusive:
        return thresholds
    # Below this number not even a tag without a mistake could be accepted.
    enough = 2 / (1 - target)
    for column, tag in enumerate(facet.tag_names):
        rows = given[:, column]
        if rows.sum() >= enough:
            thresholds[tag] = least_confidence(chances[rows, column], right[rows, column], target)
    return thresholds
