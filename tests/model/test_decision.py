import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tagger.model import ReviewRule, decide
from tagger.papers import Paper

PAPER = Paper("A title", "An abstract.", ("a.txt",))
weights = arrays(np.float64, (3,), elements=st.floats(0.001, 1))
probabilities = arrays(np.float64, (3,), elements=st.floats(0, 1))


def one(taxonomy, kind, field, rule=None):
    given_chances = {"kind": np.array([kind]), "field": np.array([field])}
    (decision,) = decide([PAPER], given_chances, taxonomy, "tagger/7", rule or ReviewRule())
    return decision


def test_a_sure_paper_is_accepted_and_follows_the_contract(taxonomy):
    decision = one(taxonomy, [0.9, 0.07, 0.03], [0.1, 0.02, 0.8])
    assert decision.tags == {"kind": ("survey",), "field": ("law",)}
    assert decision.confidence == {
        "kind": {"survey": 0.9, "method": 0.07, "study": 0.03},
        "field": {"law": 0.8, "health": 0.1, "heart": 0.02},
    }
    assert list(decision.confidence["field"]) == ["law", "health", "heart"]
    row = decision.as_row()
    assert (row["id"], row["title"], row["sources"]) == (PAPER.id, "A title", ["a.txt"])
    assert row["tags"] == {"kind": ["survey"], "field": ["law"]}
    assert (row["review"], row["model"]) == (None, "tagger/7")
    assert row["taxonomy"] == taxonomy.version


def test_doubts_are_told_per_facet(taxonomy):
    review = one(taxonomy, [0.5, 0.1, 0.4], [0.55, 0.1, 0.9]).review
    assert review is not None
    assert review.facets == ("kind", "field")
    assert review.reason == "kind: survey 0.50 or study 0.40; field: health 0.55?"


@given(weights, probabilities, st.floats(0.5, 1))
def test_contract_holds_for_any_probabilities(taxonomy, kind, field, bar):
    decision = one(taxonomy, kind / kind.sum(), field, ReviewRule(bar))
    assert len(decision.tags["kind"]) == 1
    confidence = decision.confidence["kind"]
    assert sum(round(value * 10_000) for value in confidence.values()) == 10_000
    assert confidence[decision.tags["kind"][0]] == max(confidence.values())
    assert set(decision.tags["field"]) == {
        tag for tag, value in decision.confidence["field"].items() if value >= 0.5
    }
    doubtful = max(confidence.values()) < bar or any(
        max(value, 1 - value) < bar for value in decision.confidence["field"].values()
    )
    assert (decision.review is not None) == doubtful


def test_equal_confidences_keep_the_order_of_the_taxonomy(taxonomy):
    decision = one(taxonomy, [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.5])
    assert decision.tags == {"kind": ("survey",), "field": ("health", "heart", "law")}
    assert sum(decision.confidence["kind"].values()) == pytest.approx(1)


def test_no_papers_no_decisions(taxonomy):
    none = {facet.name: np.zeros((0, 3)) for facet in taxonomy.facets}
    assert decide([], none, taxonomy, "m", ReviewRule()) == []
