import numpy as np
import pytest
from helpers.samples import small_taxonomy
from helpers.tiny_model import make_reference

from tagger.model import ReviewRule, count_drift, drift_of, expected_review_share

RULE = ReviewRule()
KINDS = np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]])


TAXONOMY = small_taxonomy()


def reference(doubtful):
    """A hundred papers that are told apart, but for so many."""
    made = make_reference(np.zeros((100, 2), dtype=np.float32), TAXONOMY)
    made.similarity[:] = np.linspace(0.3, 0.8, 100)
    made.probabilities["kind"][:] = KINDS[np.arange(100) % 2]
    made.probabilities["kind"][:doubtful] = [0.4, 0.35, 0.25]
    made.probabilities["field"][:] = 0.1
    return made


def drift(similarity, kinds, known=None):
    probabilities = {"kind": kinds, "field": np.full((len(kinds), 3), 0.1)}
    known = known or reference(10)
    counts = count_drift(np.array(similarity), probabilities, known, TAXONOMY, RULE)
    return drift_of(counts, known, TAXONOMY, RULE)


def test_a_digest_like_the_labels_raises_no_warning():
    found = drift(np.linspace(0.3, 0.8, 40), KINDS[np.arange(40) % 2])
    assert found.warnings == ()
    assert found.unfamiliar_share == pytest.approx(0.05, abs=0.03)
    assert found.similarity == pytest.approx(found.expected_similarity)
    assert found.review_share == 0
    assert found.expected_review_share == pytest.approx(0.1)
    kind = found.facets["kind"]
    assert kind.confidence == pytest.approx(0.9)
    assert kind.expected_confidence == pytest.approx(0.85)
    assert kind.shares == {"survey": 0.5, "method": 0.5, "study": 0}
    assert kind.distance == pytest.approx(0.05)


def test_strange_papers_are_warned_of():
    found = drift([0.1, 0.1, 0.1, 0.7, 0.7, 0.7], KINDS[np.arange(6) % 2])
    (warning,) = found.warnings
    assert warning.startswith("50% of the papers are unlike those that")
    assert warning.endswith("(expected: 5%)")


def test_doubtful_papers_are_warned_of():
    doubts = np.full((10, 3), 1 / 3)
    (warning,) = drift(np.full(10, 0.7), doubts).warnings
    assert warning == "100% of the papers need review (in cross-validation: 10%)"
    half = np.vstack([doubts[:2], KINDS[np.arange(8) % 2]])
    assert drift(np.full(10, 0.7), half).warnings == ()
    used_to_it = reference(doubtful=90)
    assert drift(np.full(10, 0.7), doubts, used_to_it).warnings == ()


@pytest.mark.parametrize(("strange", "papers", "warned"), [(2, 8, False), (3, 8, True)])
def test_chance_alone_raises_no_warning(strange, papers, warned):
    near = [0.1] * strange + [0.7] * (papers - strange)
    # By the binomial distribution, P(2 or more of 8) is 0.057 and P(3 or more of 8) 0.0058 at 5%.
    found = drift(near, KINDS[[0] * papers])
    assert found.unfamiliar_share == strange / papers
    assert bool(found.warnings) is False
    more = drift(near * 2, KINDS[[0] * papers * 2])
    assert bool(more.warnings) is warned


def test_thousands_of_papers_are_counted_and_a_single_one_is_no_ground_for_a_warning():
    assert len(drift([0.1] * 3000, KINDS[[0] * 3000]).warnings) == 1
    assert drift([0.1], np.full((1, 3), 1 / 3)).warnings == ()


def test_figures_are_named_by_facet_and_tag():
    figures = drift([0.5] * 6, KINDS[[0] * 6]).figures()
    assert figures["papers"] == 6
    assert figures["kind/share/survey"] == 1
    assert figures["kind/tag_shift"] == pytest.approx(0.45)
    assert figures["field/share/law"] == 0
    assert figures["review_share_expected"] == expected_review_share(reference(10), TAXONOMY, RULE)
