"""Thresholds for accepting tags at a target precision.

All facets have one threshold of confidence. It is chosen on the out-of-fold predictions of the
audit sample, the papers that were sampled at random from those that arrived, by Learn then Test
(Angelopoulos et al., 2021) with fixed-sequence testing. The tags of the sample are accepted in
falling order of confidence: first a quarter of them, but at least as many as prove the target
without an error, then one by one. It ends when an exact binomial test no longer rejects that the
precision is below the target, or their mean confidence is below it. With probability
:data:`CERTAINTY` over samples, the precision among all tags accepted from papers like these is at
least the target. Accepting only some predictions is selective classification (Geifman and El-Yaniv,
"Selective Classification for Deep Neural Networks", 2017).

The guarantee is approximate in two ways: the confidences come from the models of the
cross-validation, not from the final one, and the test counts the tags of one paper as independent.
:mod:`tagger.model.drift` measures how similar new papers are to the labelled ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tagger._util.arrays import Booleans, Floats
from tagger._util.binomial import at_least
from tagger.model.decision import NEVER, ReviewRule
from tagger.model.model import TaggerModel
from tagger.model.threshold_ranges import check_thresholds
from tagger.model.training_reference import Reference
from tagger.taxonomy import Facet, Taxonomy

CERTAINTY = 0.9
"""Probability with which a target is kept."""
_FIRST_SHARE = 0.25
"""Share of the tags in the first test. A larger one is spoilt less by one confident error, but
fails if less than this share can be accepted."""
_MOST_PAPERS = 2000
"""Maximum number of audit labels to ask for."""


@dataclass(frozen=True, slots=True)
class PrecisionTarget:
    """The rule for a target precision.

    ``coverage`` is, per facet, the share of the audit sample in which no tag needs review. The rule
    was chosen on these papers, so expect slightly less on others. ``shortfalls`` gives the reasons
    why some or all tags cannot be accepted.
    """

    rule: ReviewRule
    coverage: dict[str, float]
    shortfalls: tuple[str, ...]


def reach_precision(
    reference: Reference, taxonomy: Taxonomy, target: float, rule: ReviewRule
) -> PrecisionTarget:
    """Return the rule that accepts the most tags at a target precision, between 0 and 1.

    ``rule`` is the rule without a target. Never accepted are tags that ``rule`` never accepts, tags
    without a label, and the tags of a facet that the audit sample lacks. ``rule`` still decides
    which papers need review because a tag may be missing.
    """
    known = {name: _known(reference, taxonomy.facet(name), rule) for name in reference.annotated}
    audited = {name: reference.audited & rows for name, rows in reference.annotated.items()}
    given = _given_tags(reference, taxonomy, rule, known, audited)
    threshold = least_confidence(*given, target)
    shortfalls = [] if threshold < NEVER else [_too_few(reference, taxonomy, rule, known, target)]
    accept, coverage = {}, {}
    for facet in taxonomy.facets:
        name, rows = facet.name, audited[facet.name]
        accepted = known[name] & rows.any()
        bars = np.where(accepted, threshold, NEVER).tolist()
        accept[name] = dict(zip(facet.tag_names, bars, strict=True))
        doubts = replace(rule, accept=accept).doubts(facet, reference.probabilities[name][rows])
        coverage[name] = float(1 - doubts.mean()) if rows.any() else 0.0
        if threshold < NEVER and not accepted.all():
            tags = ", ".join(np.array(facet.tag_names)[~accepted])
            shortfalls.append(f"{name}: too few labels to accept {tags}; they go to review")
    return PrecisionTarget(replace(rule, accept=accept), coverage, tuple(shortfalls))


def review_rule(
    model: TaggerModel, min_confidence: float, target_precision: float | None = None
) -> tuple[ReviewRule, PrecisionTarget | None]:
    """Return the review rule of a model, and the target precision that it keeps, if one is given.

    Raises an ArgumentError if a threshold is out of its range.
    """
    check_thresholds(min_confidence, target_precision)
    rule = model.rule(min_confidence)
    if target_precision is None:
        return rule, None
    target = reach_precision(model.reference, model.taxonomy, target_precision, rule)
    return target.rule, target


def least_confidence(confidence: Floats, right: Booleans, target: float) -> float:
    """Return the minimum confidence of an accepted tag, or ``NEVER`` if no tag can be accepted.

    ``confidence`` and ``right``, shape (given tags,), are those of the audit sample. A lower target
    never gives a higher threshold.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked, errors = confidence[order], np.cumsum(~right[order])
    mean = np.cumsum(ranked) / np.arange(1, len(order) + 1)
    without_error = math.ceil(math.log(1 - CERTAINTY) / math.log(target))
    first = last = max(without_error, math.ceil(_FIRST_SHARE * len(order)))
    while (
        last <= len(order) and mean[last - 1] >= target and _is_kept(last, errors[last - 1], target)
    ):
        last += 1
    # Tags of equal confidence are accepted together or not at all.
    for accepted in range(last - 1, first - 1, -1):
        if accepted == len(order) or ranked[accepted] < ranked[accepted - 1]:
            return float(ranked[accepted - 1])
    return NEVER


def _is_kept(accepted: int, errors: float, target: float) -> bool:
    """Return whether a test rejects that the precision is below the target."""
    return at_least(accepted - math.floor(errors), accepted, target) <= 1 - CERTAINTY


def _known(reference: Reference, facet: Facet, rule: ReviewRule) -> Booleans:
    """Return the mask of the tags that may be accepted, shape (tags,)."""
    labelled = reference.y_true[facet.name][reference.annotated[facet.name]].any(axis=0)
    never = [tag for tag, bar in rule.accept.get(facet.name, {}).items() if bar == NEVER]
    return np.asarray(labelled & ~np.isin(facet.tag_names, never))


def _given_tags(
    reference: Reference,
    taxonomy: Taxonomy,
    rule: ReviewRule,
    known: Mapping[str, Booleans],
    rows: Mapping[str, Booleans],
) -> tuple[Floats, Booleans]:
    """Return the confidence of each known tag given to papers, and whether it is right.

    ``rows`` is the mask of the papers by facet, shape (papers,). Both results have shape (given
    tags,).
    """
    confidence: list[Floats] = [np.zeros(0)]
    right: list[Booleans] = [np.zeros(0, dtype=bool)]
    for facet in taxonomy.facets:
        probabilities = reference.probabilities[facet.name][rows[facet.name]]
        given = rule.predict_labels(facet, probabilities) & known[facet.name]
        confidence.append(probabilities[given])
        right.append(reference.y_true[facet.name][rows[facet.name]][given])
    return np.concatenate(confidence), np.concatenate(right)


def _too_few(
    reference: Reference,
    taxonomy: Taxonomy,
    rule: ReviewRule,
    known: Mapping[str, Booleans],
    target: float,
) -> str:
    """Return why the target is out of reach, and how many more audit labels would be enough.

    Confidences are used as the probabilities that tags are right.
    """
    confidence, _ = _given_tags(reference, taxonomy, rule, known, reference.annotated)
    wrong = np.cumsum(1 - np.sort(confidence)[::-1]) / max(len(reference.ids), 1)
    accepted = np.arange(1, len(wrong) + 1) / max(len(reference.ids), 1)
    some = np.unique(np.linspace(0, len(wrong) - 1, 50).astype(int)) if len(wrong) else []
    audit = int(reference.audited.sum())
    found = f"a precision of {target:.1%} cannot be shown"
    for papers in np.unique(np.geomspace(20, _MOST_PAPERS, 40).round(-1).astype(int)):
        if papers > audit and any(
            wrong[place] <= (1 - target) * accepted[place]
            and _is_kept(round(papers * accepted[place]), papers * wrong[place], target)
            for place in some
        ):
            return (
                f"{found} with {audit} audit labels, about {papers - audit} more would be enough: "
                f"tagger review push FILES --audit {papers - audit}; all tags go to review"
            )
    reason = "is too rarely that confident" if len(wrong) else "was not trained on labels"
    return f"{found}: the model {reason}; all tags go to review"
