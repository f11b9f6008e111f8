"""What the audit sample says about accuracy, and when it is enough."""

import numpy as np
import pytest

from tagger.evaluation import HeldOut
from tagger.review import Goal, measure_progress
from tagger.review.stopping import state_of

GOAL = Goal("kind", 0.85, 0.95)


def held_out(taxonomy, right, samples):
    """Predictions of papers that are right or wrong."""
    facet, size = taxonomy.facets[0], len(right)
    y_true = np.tile([True, False, False], (size, 1))
    probabilities = np.where(np.array(right)[:, None], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1])
    ids = tuple(f"t-{n}" for n in range(size))
    return HeldOut(
        facet, ids, ids, np.ones(size, dtype=int), y_true, probabilities, samples=np.array(samples)
    )


def test_only_the_audit_sample_measures(taxonomy):
    samples = ["audit"] * 40 + ["selected"] * 50 + ["seed"] * 10
    now = held_out(taxonomy, [True] * 30 + [False] * 70, samples)
    before = held_out(taxonomy, [True] * 24 + [False] * 76, samples)
    found = measure_progress(now, before, 20, goal=GOAL)
    assert (found.papers, found.accuracy.value) == (40, 0.75)
    assert found.accuracy.interval == pytest.approx((0.598, 0.858), abs=0.001)  # Wilson's
    assert found.last_round.value == pytest.approx(0.15)
    assert 0 < found.last_round.interval[0] < 0.15 < found.last_round.interval[1]
    # An error of 0.25 falls with the root of 100 labels to that of 120.
    assert found.next_round == pytest.approx((0, 0.25 * (1 - (100 / 120) ** 0.5)))
    assert measure_progress(now, None, 20, (0.1, 0.1)).next_round[0] > 0
    assert not found.goal.enough
    assert found.goal.more_papers is None


def test_an_audit_may_have_any_size():
    for size in (4999, 5000, 9000):
        assert state_of(GOAL, np.ones(size, dtype=bool)).enough
        assert state_of(GOAL, np.zeros(size, dtype=bool)).more_papers is None


def test_without_an_audit_nothing_is_known(taxonomy):
    found = measure_progress(held_out(taxonomy, [True] * 9, ["seed"] * 9), None, 20, goal=GOAL)
    assert (found.papers, found.accuracy.interval) == (0, (0, 1))
    assert (found.last_round, found.goal.at_least, found.goal.enough) == (None, 0, False)


def test_enough_is_reached_when_the_papers_show_it():
    def state(right, wrong):
        return state_of(GOAL, np.repeat([True, False], [right, wrong]))

    # 0.85 ** 18 = 0.054 and 0.85 ** 19 = 0.046: so many right in a row are not due to chance.
    assert state(18, 0).more_papers == 1
    assert state(19, 0).enough
    assert state(19, 0).at_least == pytest.approx(0.05 ** (1 / 19))
    needed = state(18, 2).more_papers
    papers = 20 + needed
    right = int(papers * 0.9 + 1e-9)
    assert state(right, papers - right).enough
    assert not state(right - 1, papers - right).enough
    assert state(17, 3).more_papers is None


@pytest.mark.parametrize(("confidence", "looks"), [(0.95, [100]), (0.99, range(20, 201, 20))])
def test_enough_is_rarely_said_too_early(confidence, looks):
    rng = np.random.default_rng(0)
    goal = Goal("kind", 0.85, confidence)
    early = 0
    for _ in range(100):
        right = rng.random(200) < goal.accuracy - 1e-9
        early += any(state_of(goal, right[:count]).enough for count in looks)
    # At most 5%, and three standard errors.
    assert early / 100 < 0.05 + 3 * (0.05 * 0.95 / 100) ** 0.5
