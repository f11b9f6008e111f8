import numpy as np
import pytest

from tagger.decision import ReviewRule
from tagger.drift import expected_review_share, measure_drift
from tagger.reference import OutOfFold, Reference

RULE = ReviewRule()
KINDS = np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]])


def reference(doubtful=0, papers=100):
    kinds = KINDS[np.arange(papers) % 2].copy()
    kinds[:doubtful] = [0.4, 0.35, 0.25]
    truth = np.zeros((papers, 3), dtype=bool)
    found = OutOfFold(
        np.linspace(0.3, 0.8, papers), {"kind": kinds, "field": np.full((papers, 3), 0.1)}
    )
    return Reference(
        ("",) * papers,
        ("",) * papers,
        np.eye(2, dtype=np.float32),
        {"kind": truth, "field": truth},
        {"kind": truth[:, 0], "field": truth[:, 0]},
        {"full": found},
    )


def drift(taxonomy, familiarity, kinds, known=None):
    chances = {"kind": kinds, "field": np.full((len(kinds), 3), 0.1)}
    return measure_drift(np.array(familiarity), chances, known or reference(10), taxonomy, RULE)


def test_a_digest_like_the_labels_raises_no_warning(taxonomy):
    found = drift(taxonomy, np.linspace(0.3, 0.8, 40), KINDS[np.arange(40) % 2])
    assert found.warnings == ()
    assert found.unfamiliar_share == pytest.approx(0.05, abs=0.03)
    assert found.familiarity == pytest.approx(found.expected_familiarity)
    assert found.review_share == 0
    assert found.expected_review_share == pytest.approx(0.1)
    kind = found.facets["kind"]
    assert kind.confidence == pytest.approx(0.9)
    assert kind.expected_confidence == pytest.approx(0.85)
    assert kind.shares == {"survey": 0.5, "method": 0.5, "study": 0}
    assert kind.distance == pytest.approx(0.05)


def test_strange_papers_are_warned_of(taxonomy):
    found = drift(taxonomy, [0.1, 0.1, 0.1, 0.7, 0.7, 0.7], KINDS[np.arange(6) % 2])
    (warning,) = found.warnings
    assert warning == (
        "50% of the papers are unlike those that the model was trained on, where 5% are to be "
        "expected"
    )


def test_doubtful_papers_are_warned_of(taxonomy):
    doubts = np.full((10, 3), 1 / 3)
    (warning,) = drift(taxonomy, np.full(10, 0.7), doubts).warnings
    assert warning == "100% of the papers are doubtful, where 10% were in cross-validation"
    half = np.vstack([doubts[:2], KINDS[np.arange(8) % 2]])
    assert drift(taxonomy, np.full(10, 0.7), half).warnings == ()
    used_to_it = reference(doubtful=90)
    assert drift(taxonomy, np.full(10, 0.7), doubts, used_to_it).warnings == ()


@pytest.mark.parametrize(("strange", "papers", "warned"), [(2, 8, False), (3, 8, True)])
def test_chance_alone_raises_no_warning(taxonomy, strange, papers, warned):
    near = [0.1] * strange + [0.7] * (papers - strange)
    # By the binomial distribution, P(2 or more of 8) is 0.057 and P(3 or more of 8) 0.0058 at 5%.
    found = drift(taxonomy, near, KINDS[[0] * papers])
    assert found.unfamiliar_share == strange / papers
    assert bool(found.warnings) is False
    more = drift(taxonomy, near * 2, KINDS[[0] * papers * 2])
    assert bool(more.warnings) is warned


def test_thousands_of_papers_are_counted(taxonomy):
    found = drift(taxonomy, [0.1] * 3000, KINDS[[0] * 3000])
    assert len(found.warnings) == 1


def test_a_handful_of_papers_is_no_ground_for_a_warning(taxonomy):
    assert drift(taxonomy, [0.1], np.full((1, 3), 1 / 3)).warnings == ()


def test_figures_are_named_by_facet_and_tag(taxonomy):
    figures = drift(taxonomy, [0.5] * 6, KINDS[[0] * 6]).figures()
    assert figures["papers"] == 6
    assert figures["kind/share/survey"] == 1
    assert figures["kind/tag_shift"] == pytest.approx(0.45)
    assert figures["field/share/law"] == 0
    assert figures["review_share_expected"] == expected_review_share(reference(10), taxonomy, RULE)
