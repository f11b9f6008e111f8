"""The gate: decide whether a challenger may replace the champion."""

from __future__ import annotations

from dataclasses import dataclass

from tagger.evaluation.comparison import Change, Comparison, FacetComparison


@dataclass(frozen=True, slots=True)
class GateRules:
    """Limits that a challenger must keep in every facet, as shares from 0 to 1.

    ``max_negative_flips`` limits the share of papers that were right and are wrong now. A tag has
    collapsed if its F1 fell to 0, or by more than ``max_tag_loss`` beyond noise. The calibration
    error may grow by ``max_calibration_loss``, or by any amount within noise.
    """

    max_negative_flips: float = 0.05
    max_tag_loss: float = 0.15
    max_calibration_loss: float = 0.02


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """Result of one rule in one facet: the rule and the measured figure, both in words."""

    rule: str
    facet: str
    figure: str
    passed: bool


def apply_gate(comparison: Comparison, rules: GateRules) -> list[RuleOutcome]:
    """Apply every rule to every facet of a comparison of the champion with a challenger."""
    outcomes = [outcome for facet in comparison.facets for outcome in _apply(facet, rules)]
    return outcomes + [
        RuleOutcome(
            "the facet has comparable tags in both versions", name, "it cannot be compared", False
        )
        for name in comparison.skipped
    ]


def _apply(facet: FacetComparison, rules: GateRules) -> list[RuleOutcome]:
    macro = facet.figures["macro_f1"]
    error = facet.figures["calibration_error"]
    collapsed = [
        f"{tag} {change.before:.2f} to {change.after:.2f}"
        for tag, change in facet.tags.items()
        if facet.labels[tag] and _collapsed(change, rules.max_tag_loss)
    ]
    worst = min(facet.tags, key=lambda tag: facet.tags[tag].difference)
    flips = len(facet.negative_flips)
    calibrated = error.verdict != "worse" or error.difference <= rules.max_calibration_loss
    return [
        RuleOutcome(
            "macro-F1 is not worse beyond noise",
            facet.facet,
            _in_words(macro),
            facet.verdict != "worse",
        ),
        RuleOutcome(
            f"at most {rules.max_negative_flips:.0%} of papers change from right to wrong",
            facet.facet,
            f"{facet.negative_flip_rate:.1%} ({flips} of {facet.papers})",
            facet.negative_flip_rate <= rules.max_negative_flips,
        ),
        RuleOutcome(
            f"no tag's F1 falls to 0, or by more than {rules.max_tag_loss:.2f} beyond noise",
            facet.facet,
            "; ".join(collapsed) or f"largest loss: {worst} {facet.tags[worst].difference:+.2f}",
            not collapsed,
        ),
        RuleOutcome(
            f"the calibration error grows by at most {rules.max_calibration_loss:.2f} beyond noise",
            facet.facet,
            _in_words(error),
            calibrated,
        ),
    ]


def _collapsed(change: Change, limit: float) -> bool:
    if change.before > 0 and change.after == 0:
        return True
    return change.difference < -limit and change.beyond_noise


def _in_words(change: Change) -> str:
    low, high = change.interval
    return (
        f"{change.before:.3f} to {change.after:.3f} ({change.difference:+.3f}; "
        f"{low:+.3f} to {high:+.3f})"
    )
