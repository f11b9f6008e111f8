import numpy as np
import pytest
from helpers.tiny_model import make_reference
from hypothesis import given
from hypothesis import strategies as st

from tagger.model import ReviewRule
from tagger.model.risk_control import CERTAINTY, NEVER, least_confidence, reach_precision


@pytest.mark.parametrize("target", [0.8, 0.9])
def test_the_target_is_kept_with_the_stated_probability(target):
    """Of confidences that are right as often as they say; accepting nothing does not count."""
    rng = np.random.default_rng(0)
    population = np.sort(rng.beta(5, 0.8, 100_000))[::-1]
    precision = np.cumsum(population) / np.arange(1, len(population) + 1)
    found = []
    for _ in range(300):
        confidence = rng.choice(population, 150)
        threshold = least_confidence(confidence, rng.random(150) < confidence, target)
        accepted = (population >= threshold).sum()
        if accepted:
            found.append(precision[accepted - 1] >= target)
    assert np.mean(found) >= CERTAINTY
    assert len(found) > 200


@pytest.mark.parametrize(
    ("confidence", "wrong", "target", "expected"),
    [
        ([0.99] * 44, 0, 0.95, NEVER),  # 0.95 ** 44 is above 0.1
        ([0.99] * 45, 0, 0.95, 0.99),
        ([0.99] * 76, 1, 0.95, NEVER),
        ([0.99] * 77, 1, 0.95, 0.99),
        ([0.99] * 30 + [0.94] * 30, 0, 0.95, 0.94),
        ([0.99] * 50 + [0.94] * 10, 10, 0.95, 0.99),
        ([0.94] * 60, 0, 0.95, NEVER),  # the mean confidence is too low
        ([], 0, 0.5, NEVER),
    ],
)
def test_the_threshold_is_the_lowest_that_labels_allow(confidence, wrong, target, expected):
    right = np.arange(len(confidence)) < len(confidence) - wrong
    assert least_confidence(np.array(confidence), right, target) == expected


_CASES = st.lists(st.tuples(st.sampled_from([0.7, 0.8, 0.9, 0.95]), st.booleans()), max_size=80)


@given(_CASES, st.integers(0, 60), st.floats(0.5, 0.99), st.floats(0.5, 0.99))
def test_a_lower_target_accepts_no_less(cases, sure, one, other):
    cases = cases + [(0.99, True)] * sure
    confidence = np.array([c for c, _ in cases])
    right = np.array([r for _, r in cases], dtype=bool)
    low, high = sorted((one, other))
    assert least_confidence(confidence, right, low) <= least_confidence(confidence, right, high)


@pytest.fixture
def reference(taxonomy):
    """A hundred audited papers: kinds are right where sure; the second field is always right."""
    rng = np.random.default_rng(0)
    made = make_reference(np.zeros((100, 2), dtype=np.float32), taxonomy, audited=True)
    sure = np.arange(100) < 60
    made.probabilities["kind"][:] = np.where(sure[:, None], [0.96, 0.02, 0.02], [0.5, 0.3, 0.2])
    made.y_true["kind"][~sure] = rng.random((40, 1)) < [0.5, 0, 0]
    made.probabilities["field"][:] = [0.45, 0.98, 0.1]
    made.y_true["field"][:] = rng.random((100, 3)) < [0.6, 1, 0]
    return made


def test_a_target_accepts_what_is_safe(taxonomy, reference):
    target = reach_precision(reference, taxonomy, 0.95, ReviewRule())
    assert list(target.rule.accept["kind"].values()) == [0.96, NEVER, NEVER], "two have no label"
    assert list(target.rule.accept["field"].values()) == [0.96, 0.96, NEVER]
    assert target.coverage == {"kind": 0.6, "field": 0}, "the first field is in doubt"
    of_kinds, of_fields = target.shortfalls
    assert "method, study" in of_kinds
    assert taxonomy.facets[1].tag_names[-1] in of_fields


def test_only_the_audit_sample_meets_a_target(taxonomy, reference):
    seeds = make_reference(np.zeros((100, 2), dtype=np.float32), taxonomy)
    for facet in taxonomy.facets:
        for name in ("probabilities", "y_true"):
            getattr(seeds, name)[facet.name][:] = getattr(reference, name)[facet.name]
    target = reach_precision(seeds, taxonomy, 0.9, ReviewRule())
    assert set(target.rule.accept["kind"].values()) == {NEVER}
    assert target.coverage == {"kind": 0, "field": 0}
    assert "review push FILES --audit" in target.shortfalls[0]
    # Nor does it for a facet that nobody annotated in the sample.
    reference.annotated["kind"][:] = False
    target = reach_precision(reference, taxonomy, 0.9, ReviewRule())
    assert set(target.rule.accept["kind"].values()) == {NEVER}
    assert min(target.rule.accept["field"].values()) < 1
    assert target.coverage["kind"] == 0


def test_a_rule_doubts_what_it_does_not_accept(taxonomy):
    kind, field = taxonomy.facets
    rule = ReviewRule(0.6, {"kind": {"survey": 0.9}, "field": {field.tag_names[0]: 0.8}})
    kinds = np.array([[0.85, 0.1, 0.05], [0.95, 0.04, 0.01], [0.1, 0.7, 0.2]])
    assert rule.doubts(kind, kinds).tolist() == [True, False, False]
    fields = np.array([[0.7, 0, 0], [0.8, 0, 0], [0, 0.7, 0.45], [0.45, 0, 0]])
    doubted = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]], dtype=bool)
    assert (rule.doubted_tags(field, fields) == doubted).all()
