import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tagger.evaluation import assign, brier_score, calibration_error, evaluate
from tagger.plots import confusion_counts, confusion_matrix_figure

chances = arrays(np.float64, (5, 3), elements=st.floats(0, 1))
truths = arrays(np.bool_, (5, 3))


def test_exclusive_figures_by_hand(taxonomy):
    facet = taxonomy.facet("kind")
    truth = np.eye(3, dtype=bool)[[0, 0, 1, 2]]
    given_chances = np.eye(3)[[0, 1, 1, 2]] * 0.7 + 0.1
    figures = evaluate(facet, truth, given_chances)
    assert figures["accuracy"] == 0.75
    assert figures["f1/survey"] == pytest.approx(2 / 3)
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert figures["calibration_error"] == pytest.approx(0.05)


def test_tags_that_nobody_used_count_in_no_mean(taxonomy):
    facet = taxonomy.facet("field")
    truth = np.array([[True, False, False], [True, False, False]])
    figures = evaluate(facet, truth, np.array([[0.9, 0.1, 0.1], [0.8, 0.1, 0.1]]))
    assert (figures["macro_f1"], figures["micro_f1"], figures["f1/law"]) == (1, 1, 0)
    nobody = np.zeros((2, 3), dtype=bool)
    assert evaluate(facet, nobody, np.zeros((2, 3)))["macro_f1"] == 0


@given(truths, chances)
def test_figures_stay_in_range(taxonomy, truth, given_chances):
    for value in evaluate(taxonomy.facet("field"), truth, given_chances).values():
        assert 0 <= value <= 1


@given(truths)
def test_certainty_that_is_right_has_no_error(taxonomy, truth):
    certain = truth.astype(float)
    assert calibration_error(taxonomy.facet("field"), truth, certain) == 0
    assert brier_score(truth, certain) == 0
    assert (assign(taxonomy.facet("field"), certain) == truth).all()


@given(chances)
def test_an_exclusive_facet_gets_one_tag(taxonomy, given_chances):
    assert (assign(taxonomy.facet("kind"), given_chances).sum(axis=1) == 1).all()


def test_confusions_are_counted_where_they_belong(taxonomy):
    facet = taxonomy.facet("field")
    truth = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]], dtype=bool)
    given_tags = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=float)
    counts = confusion_counts(facet, truth, given_tags)
    assert counts[0, 0] == 1
    assert counts[2, 1] == 1
    assert counts[3, 2] == 1
    assert counts[3, 3] == 1
    assert counts.sum() == 4
    figure = confusion_matrix_figure(facet, truth, given_tags)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["health", "heart", "law", "none"]
