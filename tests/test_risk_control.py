import numpy as np
import pytest
from helpers.tiny_model import make_reference
from hypothesis import given
from hypothesis import strategies as st

from tagger.model import ReviewRule
from tagger.model.risk_control import NEVER, least_confidence, promise_precision


def test_the_promise_holds_on_average():
    """Of confidences that are right as often as they say."""
    rng = np.random.default_rng(0)
    wrong, accepted = [], []
    for _ in range(400):
        confidence = rng.beta(4, 1.5, 450)
        right = rng.random(450) < confidence
        threshold = least_confidence(confidence[:150], right[:150], 0.9)
        taken = confidence[150:] >= threshold
        wrong.append((taken & ~right[150:]).sum() / max(taken.sum(), 1))
        accepted.append(taken.mean())
    assert np.mean(wrong) < 0.1
    assert np.mean(accepted) > 0.15


def test_the_promise_holds_for_all_tags_of_a_facet_together(taxonomy):
    """Also if confidence says nothing, so that a tag is accepted by luck alone."""
    rng = np.random.default_rng(0)
    made = make_reference(np.zeros((60, 2), dtype=np.float32), taxonomy)
    wrong = []
    for _ in range(400):
        made.probabilities["field"][:] = rng.uniform(0.6, 1, (60, 3))
        made.y_true["field"][:] = rng.random((60, 3)) < 0.88
        rule = promise_precision(made, taxonomy, 0.9, ReviewRule(0.5)).rule
        bars = np.array(list(rule.accept["field"].values()))
        taken = rng.uniform(0.6, 1, (50, 3)) >= bars
        wrong.append((taken & (rng.random((50, 3)) > 0.88)).sum() / max(taken.sum(), 1))
    assert 0 < np.mean(wrong) < 0.1


@pytest.mark.parametrize(
    ("confidence", "wrong", "target", "most", "expected"),
    [
        ([0.99] * 18, 0, 0.95, 1, NEVER),  # too few
        ([0.99] * 19, 0, 0.95, 1, 0.99),
        ([], 0, 0.5, 1, NEVER),
        ([0.9] * 40, 0, 0.95, 2, 0.9),
        ([0.9] * 40, 0, 0.95, 3, NEVER),  # several tags a paper ask for more papers
    ],
)
def test_the_threshold_is_the_lowest_that_labels_allow(confidence, wrong, target, most, expected):
    right = np.arange(len(confidence)) < len(confidence) - wrong
    assert least_confidence(np.array(confidence), right, target, most) == expected


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60), st.floats(0.5, 0.99))
def test_what_is_accepted_meets_the_bound_and_no_more_would(cases, target):
    confidence = np.array([c for c, _ in cases])
    right = np.array([r for _, r in cases], dtype=bool)

    def bound(threshold):
        """One more paper, wrong, and the share of wrong tags is still what was promised."""
        taken = confidence >= threshold
        return (1 + (taken & ~right).sum()) / (1 + taken.sum())

    threshold = least_confidence(confidence, right, target)
    meeting = [c for c in confidence if bound(c) <= 1 - target + 1e-12]
    assert threshold == (min(meeting) if meeting else NEVER)


@pytest.fixture
def reference(taxonomy):
    """A hundred papers: kinds are right where sure; of the fields, the second is always right."""
    rng = np.random.default_rng(0)
    made = make_reference(np.zeros((100, 2), dtype=np.float32), taxonomy)
    sure = np.arange(100) < 60
    made.probabilities["kind"][:] = np.where(sure[:, None], [0.9, 0.05, 0.05], [0.5, 0.3, 0.2])
    made.y_true["kind"][~sure] = rng.random((40, 1)) < [0.5, 0, 0]
    made.probabilities["field"][:] = [0.8, 0.9, 0.1]
    made.y_true["field"][:] = rng.random((100, 3)) < [0.6, 1, 0]
    return made


def test_a_promise_accepts_what_is_safe(taxonomy, reference):
    promise = promise_precision(reference, taxonomy, 0.9, ReviewRule())
    kinds = promise.rule.accept["kind"]
    assert list(kinds.values()) == [0.9, NEVER, NEVER], "two kinds have no label"
    assert promise.coverage["kind"] == 0.6
    unsafe, safe, unlabelled = promise.rule.accept["field"].values()
    assert (unsafe, safe, unlabelled) == (NEVER, 0.9, NEVER)
    assert promise.coverage["field"] == 0
    first, _, last = taxonomy.facets[1].tag_names
    of_kinds, of_fields = promise.shortfalls
    assert "90% of the tags of method, study are right" in of_kinds
    assert of_fields.startswith("field: 100 labelled papers are too few, or too hard")
    assert f"90% of the tags of {first}, {last} are right" in of_fields
    # Papers that nobody judged promise nothing.
    reference.annotated["kind"][:] = False
    promise = promise_precision(reference, taxonomy, 0.9, ReviewRule())
    assert set(promise.rule.accept["kind"].values()) == {NEVER}
    assert promise.coverage["kind"] == 0
    assert "the tags are right" in promise.shortfalls[0]


def test_a_rare_tag_is_not_accepted_for_what_others_have_right(taxonomy, reference):
    """The first field is given to everybody and right; the second seldom, and then wrong."""
    reference.probabilities["field"][:] = [0.8, 0.1, 0.1]
    reference.probabilities["field"][:15, 1] = 0.9
    reference.y_true["field"][:] = [True, False, False]
    reference.y_true["field"][50, 1] = True
    accept = promise_precision(reference, taxonomy, 0.9, ReviewRule()).rule.accept["field"]
    assert set(accept.values()) == {NEVER}


def test_a_rule_doubts_what_it_does_not_accept(taxonomy):
    kind, field = taxonomy.facets
    rule = ReviewRule(0.6, {"kind": {"survey": 0.9}, "field": {field.tag_names[0]: 0.8}})
    kinds = np.array([[0.85, 0.1, 0.05], [0.95, 0.04, 0.01], [0.1, 0.7, 0.2]])
    assert rule.doubts(kind, kinds).tolist() == [True, False, False]
    fields = np.array([[0.7, 0, 0], [0.8, 0, 0], [0, 0.7, 0.45], [0.45, 0, 0]])
    doubted = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]], dtype=bool)
    assert (rule.doubted_tags(field, fields) == doubted).all()
