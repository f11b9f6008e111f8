"""The gate: decide whether a challenger may replace the champion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

from tagger.evaluation.comparison import Change, Comparison, FacetComparison
from tagger.evaluation.samples import MIN_PAPERS

_CONFIDENCE = 0.9
"""Confidence with which a challenger is shown not to be worse by the margin."""
_ERROR_RATE = 0.05
"""Probability that an equal version fails one of the rules that look for harm."""


@dataclass(frozen=True, slots=True)
class GateRules:
    """Limits that a challenger must keep in every facet, as shares from 0 to 1.

    On reviewed papers it may be worse by less than ``margin``, in points of micro-F1, which is the
    accuracy in an exclusive facet. No tag may lose more than ``max_tag_loss`` of its F1 beyond
    noise.
    """

    margin: float = 0.05
    max_tag_loss: float = 0.15


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """Result of one rule in one facet: the rule and the measured figure, both in words.

    A rule that needs more labels has not ``passed``, but ``cannot_tell``.
    """

    rule: str
    facet: str
    figure: str
    passed: bool
    cannot_tell: bool = False


def apply_gate(comparison: Comparison, rules: GateRules) -> list[RuleOutcome]:
    """Apply every rule to every facet of a comparison of the champion with a challenger.

    Non-inferiority on reviewed papers is tested in each facet with a confidence of 90%
    (Schuirmann, "A comparison of the two one-sided tests procedure", 1987). The rules that look for
    harm share an error rate of 5% (Bonferroni): a challenger as good as the champion fails one of
    them with a probability of at most 0.05, whatever the number of tags.
    """
    outcomes = []
    reviewed = {facet.facet: facet for facet in comparison.facets if facet.sample != "seed"}
    for name in comparison.main:
        outcomes.append(_not_inferior(name, reviewed.get(name), rules.margin))
    tested = sum(count > 0 for facet in comparison.facets for count in facet.labels.values())
    seeds = [facet for facet in comparison.facets if facet.sample == "seed"]
    for facet in comparison.facets:
        if facet.sample == "seed":
            outcomes.append(_no_worse(facet, _ERROR_RATE / 2 / len(seeds)))
        outcomes.append(_no_tag_lost(facet, rules.max_tag_loss, _ERROR_RATE / 2 / max(tested, 1)))
    rule = "the facet has comparable tags in both versions"
    for name in comparison.unmeasured:
        figure = f"{comparison.before} was not measured in it: there is nothing to be worse than"
        outcomes.append(RuleOutcome(rule, name, figure, True))
    for name in comparison.skipped:
        outcomes.append(RuleOutcome(rule, name, "it cannot be compared", False))
    return outcomes


def _not_inferior(name: str, facet: FacetComparison | None, margin: float) -> RuleOutcome:
    rule = f"less than {100 * margin:g} points worse on reviewed papers"
    sampled = facet.sampled if facet else 0
    if facet is None or sampled < MIN_PAPERS:
        figure = f"{sampled} papers sampled at random, {MIN_PAPERS} are needed"
        if facet and facet.papers > sampled:
            figure += f"; {facet.papers - sampled} were chosen by a strategy"
        return _cannot_tell(rule, name, figure, MIN_PAPERS - sampled)
    score, z = facet.score, NormalDist().inv_cdf(_CONFIDENCE)
    spare = margin + score.points
    # As in a score test, the variance is that of a version that is worse by the margin: with few
    # papers, those that it would have got wrong may be missing.
    error = sqrt(score.error**2 + max(spare, 0) / facet.papers)
    low = score.points - z * error
    figure = (
        f"{100 * score.points:+.1f} points, at least {100 * low:+.1f} with {_CONFIDENCE:.0%} "
        f"confidence, on {facet.measured_on}"
    )
    if low > -margin:
        return RuleOutcome(rule, name, figure, True)
    if score.points + NormalDist().inv_cdf(1 - _ERROR_RATE / 2) * score.error < 0 or spare <= 0:
        return RuleOutcome(rule, name, figure, False)
    needed = ceil(facet.papers * (z * error / spare) ** 2) - facet.papers
    return _cannot_tell(rule, name, figure, max(needed, 1))


def _cannot_tell(rule: str, facet: str, figure: str, missing: int) -> RuleOutcome:
    hint = f"{figure}. Review about {missing} more: tagger review push FILES --audit {missing}"
    return RuleOutcome(rule, facet, hint, passed=False, cannot_tell=True)


def _no_worse(facet: FacetComparison, level: float) -> RuleOutcome:
    change = facet.figures["macro_f1"]
    low, high = change.interval
    # The interval is one of 95%: it has 1.96 standard errors on either side.
    error = (high - low) / 2 / NormalDist().inv_cdf(0.975)
    worse = change.difference + NormalDist().inv_cdf(1 - level) * error < 0
    figure = f"{change.before:.3f} to {change.after:.3f} ({change.difference:+.3f})"
    if facet.papers < MIN_PAPERS:
        # A bootstrap sample of a few papers varies too little.
        worse, figure = False, f"{figure}, on {facet.papers} labels, which are too few to tell"
    rule = "macro-F1 on seed labels is not worse beyond noise"
    return RuleOutcome(rule, facet.facet, figure, not worse)


def _no_tag_lost(facet: FacetComparison, limit: float, level: float) -> RuleOutcome:
    lost = [
        tag
        for tag, p_value in facet.losses.items()
        if facet.labels[tag] and p_value < level and facet.tags[tag].difference < -limit
    ]
    worst = min(facet.tags, key=lambda tag: facet.tags[tag].difference)
    least = "largest loss" if facet.tags[worst].difference < 0 else "no tag falls; smallest gain"
    where = "seed labels" if facet.sample == "seed" else "reviewed papers"
    return RuleOutcome(
        f"no tag's F1 on {where} falls by more than {limit:.2f} beyond noise",
        facet.facet,
        _in_words(facet.tags, lost) or f"{least}: {_in_words(facet.tags, [worst])}",
        not lost,
    )


def _in_words(tags: dict[str, Change], names: Sequence[str]) -> str:
    return "; ".join(f"{tag} {tags[tag].before:.2f} to {tags[tag].after:.2f}" for tag in names)
