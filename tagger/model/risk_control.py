"""Thresholds for accepting tags at a target precision.

The threshold is chosen on out-of-fold predictions. Where ``w`` of ``n`` tags at or above it are
wrong, and ``a`` is the share that may be, the excess is ``w - a * n``. Conformal risk control
(Angelopoulos et al., 2024) adds to it the most that one more paper could bring, and accepts if the
sum is not above zero. Choosing what to answer is selective classification (Geifman and El-Yaniv,
"Selective Classification for Deep Neural Networks", 2017).

The target holds on average over draws of labelled papers and of digests like them, with all
accepted tags taken together; a digest in which nothing is accepted counts as one without error. It
is approximate: the confidences are those of the models of a cross-validation, not of the final one,
and the threshold is the best of many. :mod:`tagger.model.drift` measures how similar a digest is to
the labelled papers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tagger._util.arrays import Booleans, Floats
from tagger.model.decision import ReviewRule
from tagger.model.model import TaggerModel
from tagger.model.threshold_ranges import check_thresholds
from tagger.model.training_reference import Reference
from tagger.taxonomy import Facet, Taxonomy

NEVER = 2.0
"""A confidence that no tag has."""

_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Promise:
    """The rule for a target precision.

    ``coverage`` is, per facet, the share of held-out papers in which no tag needs review; these
    papers chose the rule, so expect a little less. ``shortfalls`` says in words for which facets
    labels are too few for a tag to be accepted.
    """

    rule: ReviewRule
    coverage: dict[str, float]
    shortfalls: tuple[str, ...]


def promise_precision(
    reference: Reference, taxonomy: Taxonomy, target: float, rule: ReviewRule
) -> Promise:
    """Return the rule that accepts as many tags as a target precision, between 0 and 1, allows.

    ``rule`` says which tags are given, and when a paper goes to review without a target.

    A facet has one threshold for all its tags. Where it is not exclusive, a tag that was given
    often enough has to reach the target alone, too, which may raise its threshold; the absence of a
    tag is doubted as without a target. A tag without a label is never
    accepted.
    """
    accept, coverage, shortfalls = {}, {}, []
    for facet in taxonomy.facets:
        annotated = reference.annotated[facet.name]
        probabilities = reference.probabilities[facet.name][annotated]
        predicted = rule.predict_labels(facet, probabilities)
        y_true = reference.y_true[facet.name][annotated]
        thresholds = _thresholds(facet, y_true, probabilities, predicted, target)
        accept[facet.name] = thresholds
        doubts = replace(rule, accept=accept).doubts(facet, probabilities)
        coverage[facet.name] = float(1 - doubts.mean()) if len(probabilities) else 0
        refused = [tag for tag, threshold in thresholds.items() if threshold == NEVER]
        if refused:
            of_tags = "" if len(refused) == len(facet.tags) else f" of {', '.join(refused)}"
            shortfalls.append(
                f"{facet.name}: {len(probabilities)} labelled papers are too few, or too hard, to "
                f"promise that {100 * target:g}% of the tags{of_tags} are right; all go to review"
            )
    return Promise(replace(rule, accept=accept), coverage, tuple(shortfalls))


def review_rule(
    model: TaggerModel, min_confidence: float, target_precision: float | None = None
) -> tuple[ReviewRule, Promise | None]:
    """Return when a paper goes to review, and the promise behind it if one is asked for.

    Raises ArgumentError if a threshold is out of range, see :mod:`tagger.model.threshold_ranges`.
    """
    check_thresholds(min_confidence, target_precision)
    rule = model.rule(min_confidence)
    if target_precision is None:
        return rule, None
    promise = promise_precision(model.reference, model.taxonomy, target_precision, rule)
    return promise.rule, promise


def least_confidence(confidence: Floats, right: Booleans, target: float, most: int = 1) -> float:
    """Return the least confidence at which tags are accepted; ``NEVER`` if at none.

    ``confidence`` and ``right`` are those of the tags given to held-out papers; ``most`` is the
    number of tags that one paper may be given.
    """
    order = np.argsort(-confidence, kind="stable")
    excess = np.cumsum(~right[order]) - (1 - target) * np.arange(1, len(order) + 1)
    # Tags of equal confidence are accepted together or not at all.
    last = np.append(np.diff(confidence[order]) != 0, True)[: len(order)]
    kept = last & (excess + most * target <= _TOLERANCE)
    if not kept.any():
        return NEVER
    return float(confidence[order][np.flatnonzero(kept)[-1]])


def _thresholds(
    facet: Facet, y_true: Booleans, probabilities: Floats, predicted: Booleans, target: float
) -> dict[str, float]:
    # The precision of a zero-shot tag is unknown.
    known = np.asarray(y_true.any(axis=0))
    given = predicted & known
    right = given & y_true
    most = max(1, int(given.sum(axis=1).max(initial=0)))
    together = least_confidence(probabilities[given], right[given], target, most)
    thresholds = {
        tag: together if labelled else NEVER
        for tag, labelled in zip(facet.tag_names, known, strict=True)
    }
    if facet.exclusive:
        return thresholds
    for column, tag in enumerate(facet.tag_names):
        rows = given[:, column]
        # With fewer, a single mistake would rule the tag out.
        if rows.sum() + 1 + _TOLERANCE >= 2 / (1 - target):
            alone = least_confidence(probabilities[rows, column], right[rows, column], target)
            thresholds[tag] = max(thresholds[tag], alone)
    return thresholds
