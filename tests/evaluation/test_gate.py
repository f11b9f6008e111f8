from dataclasses import replace

import pytest

from tagger.evaluation import (
    SHOWN_METRICS,
    Change,
    Comparison,
    FacetComparison,
    GateRules,
    apply_gate,
)
from tagger.evaluation.comparison import Flip

SAME = Change(0.8, 0.8, (-0.05, 0.05))
FLIP = Flip("t-1", "Title", ("a",), ("a",), ("b",))


def facet(**changes):
    sound = FacetComparison(
        facet="kind",
        papers=100,
        same_fold=100,
        figures=dict.fromkeys(SHOWN_METRICS, SAME),
        tags={"survey": SAME, "method": SAME},
        labels={"survey": 50, "method": 50},
        negative_flips=(FLIP,) * 5,
        positive_flips=(),
        p_value=1.0,
    )
    return replace(sound, **changes)


def failed(found, rules=None):
    comparison = Comparison("tagger/1", "tagger/2", (found,))
    outcomes = apply_gate(comparison, rules or GateRules())
    assert len(outcomes) == 4
    return [(o.rule.split()[0], o.figure) for o in outcomes if not o.passed]


WORSE = Change(0.8, 0.7, (-0.15, -0.01))


@pytest.mark.parametrize(
    ("name", "change", "outcomes"),
    [
        ("macro_f1", SAME, []),
        ("macro_f1", WORSE, [("macro-F1", "0.800 to 0.700 (-0.100; -0.150 to -0.010)")]),
        ("macro_f1", Change(0.8, 0.7, (-0.2, 0.01)), []),
        (
            "calibration_error",
            Change(0.05, 0.10, (0.01, 0.09), False),
            [("the", "0.050 to 0.100 (+0.050; +0.010 to +0.090)")],
        ),
        ("calibration_error", Change(0.05, 0.10, (-0.01, 0.11), False), []),
        ("calibration_error", Change(0.05, 0.06, (0.005, 0.02), False), []),
        ("calibration_error", Change(0.10, 0.05, (-0.09, -0.01), False), []),
    ],
)
def test_a_figure_may_be_worse_within_noise(name, change, outcomes):
    assert failed(facet(figures={**facet().figures, name: change})) == outcomes


def test_a_facet_that_cannot_be_compared_does_not_pass():
    comparison = Comparison("tagger/1", "tagger/2", (facet(),), skipped=("domain",))
    (outcome,) = [o for o in apply_gate(comparison, GateRules()) if not o.passed]
    assert (outcome.facet, outcome.figure) == ("domain", "it cannot be compared")


def test_too_many_negative_flips_fail():
    assert failed(facet(negative_flips=(FLIP,) * 6)) == [("at", "6.0% (6 of 100)")]
    assert failed(facet(negative_flips=(FLIP,) * 6), GateRules(max_negative_flips=0.06)) == []


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        (Change(0.8, 0.6, (-0.3, -0.1)), False),
        (Change(0.8, 0.6, (-0.4, 0.1)), True),
        (Change(0.8, 0.7, (-0.15, -0.05)), True),
        (Change(0.2, 0.0, (-0.5, 0.0)), False),
        (Change(0.0, 0.0, (0.0, 0.0)), True),
    ],
)
def test_no_tag_may_collapse(change, passes):
    found = facet(tags={"survey": change, "method": SAME})
    assert (failed(found) == []) is passes
    # A tag that no paper has cannot collapse.
    assert failed(replace(found, labels={"survey": 0, "method": 100})) == []
