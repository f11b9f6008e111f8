import numpy as np
import pytest
from helpers.samples import small_taxonomy

from tagger.evaluation import Figure, HeldOut, LearningPoint
from tagger.training import learning_exponent, plan_tag

FACET = small_taxonomy().facets[0]


def point(labels, wrong, papers=90):
    """Of each tag, the same share of papers is wrong."""
    y_true = np.eye(3, dtype=bool)[np.arange(papers) % 3]
    given = y_true.copy()
    given[:wrong] = np.roll(y_true[:wrong], 1, axis=1)
    probabilities = np.where(given, 0.8, 0.1)
    names = tuple(map(str, range(papers)))
    held_out = HeldOut(FACET, names, names, np.ones(papers, int), y_true, probabilities)
    return LearningPoint(labels, {"kind": held_out})


def test_the_exponent_is_that_of_the_curve():
    exponent = learning_exponent([point(25, 60), point(100, 40)], "kind")
    # A quarter of the labels had one and a half times the error.
    assert exponent.value == pytest.approx(np.log(1.5) / np.log(4), abs=0.01)
    low, high = exponent.interval
    assert low < exponent.value < high
    assert 0.15 < low < high < 0.5


def test_an_error_that_does_not_fall_promises_nothing():
    flat = learning_exponent([point(25, 30), point(100, 60)], "kind")
    assert flat.value == 0
    perfect = learning_exponent([point(25, 60), point(100, 0)], "kind")
    assert perfect.value == 0.5


def test_a_tag_gains_by_the_growth_of_its_labels():
    exponent = Figure(0.5, (0.0, 1.0))
    plan = plan_tag("field", "law", 10, 0.6, exponent, 30)
    assert plan.expected_f1 == pytest.approx(0.8)
    assert plan.gain == pytest.approx(0.2)
    assert plan.interval == pytest.approx((0.6, 0.9))
    few = plan_tag("field", "law", 4, 0.5, exponent, 30)
    assert (few.expected_f1, few.interval, few.gain) == (None, None, None)


def test_too_little_to_measure_gives_no_exponent():
    for points in ([], [point(25, 3)], [point(25, 3, 9), point(50, 1, 9)]):
        assert learning_exponent(points, "kind") is None
