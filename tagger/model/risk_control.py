"""Thresholds for accepting tags at a target precision.

The threshold is chosen on out-of-fold predictions. If ``w`` of the ``n`` tags at or above it are
wrong and the share ``a`` may be wrong, the excess is ``w - a * n``. Conformal risk control
(Angelopoulos et al., 2024) adds the largest excess that one more paper could have, and accepts the
threshold if the sum is at most zero. Accepting only some predictions is selective
classification (Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", 2017).

The target holds on average over samples of labelled papers and of new papers like them, for all
accepted tags together; new papers without an accepted tag count as free of errors. It is
approximate: the confidences come from the models of the cross-validation, not from the final one,
and the threshold is the best of many. :mod:`tagger.model.drift` measures how similar new papers
are to the labelled ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tagger._util.arrays import Booleans, Floats
from tagger.model.decision import NEVER, ReviewRule
from tagger.model.model import TaggerModel
from tagger.model.threshold_ranges import check_thresholds
from tagger.model.training_reference import Reference
from tagger.taxonomy import Facet, Taxonomy

_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Promise:
    """The rule for a target precision.

    ``coverage`` is, per facet, the share of held-out papers without a tag that needs review. The
    rule was chosen on these papers, so expect slightly less on others. ``shortfalls`` describes the
    facets that have too few labels to accept some or all tags.
    """

    rule: ReviewRule
    coverage: dict[str, float]
    shortfalls: tuple[str, ...]


def promise_precision(
    reference: Reference, taxonomy: Taxonomy, target: float, rule: ReviewRule
) -> Promise:
    """Return the rule that accepts the most tags at a target precision, between 0 and 1.

    ``rule`` is the rule without a target.

    A facet has one threshold for all its tags. Where it is not exclusive, a tag that was given
    often enough has to reach the target alone, too, which may raise its threshold; the absence of a
    tag is doubted as without a target. A tag without a label,
    or that ``rule`` never accepts, is never accepted.
    """
    accept, coverage, shortfalls = {}, {}, []
    for facet in taxonomy.facets:
        annotated = reference.annotated[facet.name]
        probabilities = reference.probabilities[facet.name][annotated]
        predicted = rule.predict_labels(facet, probabilities)
        y_true = reference.y_true[facet.name][annotated]
        # The precision of a tag with few labels, or with none, is unknown.
        unknown = rule.accept.get(facet.name, {})
        known = y_true.any(axis=0) & ~np.isin(facet.tag_names, [*unknown])
        thresholds = _thresholds(facet, y_true, probabilities, predicted & known, known, target)
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
    """Return the review rule of a model, and the promise of a target precision, if there is one.

    Raises
    ------
    ArgumentError
        If a threshold is out of range, see :mod:`tagger.model.threshold_ranges`.
    """
    check_thresholds(min_confidence, target_precision)
    rule = model.rule(min_confidence)
    if target_precision is None:
        return rule, None
    promise = promise_precision(model.reference, model.taxonomy, target_precision, rule)
    return promise.rule, promise


def least_confidence(confidence: Floats, right: Booleans, target: float, most: int = 1) -> float:
    """Return the minimum confidence of an accepted tag, or ``NEVER`` if no tag can be accepted.

    ``confidence`` and ``right``, shape (given tags,), are those of held-out papers; ``most`` is the
    maximum number of given tags of a paper.
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
    facet: Facet,
    y_true: Booleans,
    probabilities: Floats,
    given: Booleans,
    known: Booleans,
    target: float,
) -> dict[str, float]:
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
        # With fewer rows, a single error would prevent any accepted tag.
        if rows.sum() + 1 + _TOLERANCE >= 2 / (1 - target):
            alone = least_confidence(probabilities[rows, column], right[rows, column], target)
            thresholds[tag] = max(thresholds[tag], alone)
    return thresholds
