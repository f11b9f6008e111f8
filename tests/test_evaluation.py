import numpy as np
import pytest
from helpers.tiny_report import held_out
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from tagger.evaluation import (
    LearningPoint,
    bootstrap_weights,
    confusion_counts,
    confusion_matrix_figure,
    evaluate,
    interval,
    learning_curve_figure,
    predict_labels,
    reliability_figure,
    weighted_figures,
)

probabilities = arrays(np.float64, (5, 3), elements=st.floats(0, 1))
truths = arrays(np.bool_, (5, 3))


def test_tags_that_nobody_used_count_in_no_mean(taxonomy):
    facet = taxonomy.facet("field")
    y_true = np.array([[True, False, False], [True, False, False]])
    figures = evaluate(facet, y_true, np.array([[0.9, 0.1, 0.1], [0.8, 0.1, 0.1]]))
    assert (figures["macro_f1"], figures["micro_f1"], figures["f1/law"]) == (1, 1, 0)
    nobody = np.zeros((2, 3), dtype=bool)
    assert evaluate(facet, nobody, np.zeros((2, 3)))["macro_f1"] == 0


@given(truths)
def test_certainty_that_is_right_has_no_error(taxonomy, y_true):
    certain = y_true.astype(float)
    figures = evaluate(taxonomy.facet("field"), y_true, certain)
    assert (figures["calibration_error"], figures["brier"]) == (0, 0)
    assert (predict_labels(taxonomy.facet("field"), certain) == y_true).all()


@given(truths, probabilities)
def test_f1_is_that_of_scikit_learn(taxonomy, y_true, given_chances):
    facet = taxonomy.facet("field")
    figures = evaluate(facet, y_true, given_chances)
    predicted = predict_labels(facet, given_chances)
    per_tag = f1_score(y_true, predicted, average=None, zero_division=0.0)
    assert [figures[f"f1/{tag}"] for tag in facet.tag_names] == pytest.approx(list(per_tag))
    micro = f1_score(y_true, predicted, average="micro", zero_division=0.0)
    assert figures["micro_f1"] == pytest.approx(micro)
    assert figures["brier"] == pytest.approx(((given_chances - y_true) ** 2).mean())
    bins = np.minimum((given_chances * 10).astype(int), 9)
    gaps = [(given_chances - y_true)[bins == number].sum() for number in range(10)]
    assert figures["calibration_error"] == pytest.approx(np.abs(gaps).sum() / 15)


@given(truths, probabilities, st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_a_weight_counts_a_paper_so_often(taxonomy, y_true, given_chances, weights):
    for name in ("kind", "field"):
        facet = taxonomy.facet(name)
        many = np.repeat(np.arange(5), weights)
        repeated = evaluate(facet, y_true[many], given_chances[many])
        weighted = weighted_figures(facet, y_true, given_chances, np.array([weights], dtype=float))
        if len(many):
            assert {key: value[0] for key, value in weighted.items()} == pytest.approx(repeated)


def test_bootstrap_intervals_hold_what_they_should():
    weights = bootstrap_weights(400)
    assert (weights.sum(axis=1) == 400).all()
    values = np.arange(400) % 2
    low, high = interval(weights @ values / 400)
    # A share of one half in 400 papers has a standard error of 0.025.
    assert (low, high) == pytest.approx((0.5 - 0.049, 0.5 + 0.049), abs=0.005)


def test_confusions_are_counted_where_they_belong(taxonomy):
    y_true = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]])
    given_tags = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=float)
    data = held_out(taxonomy.facet("field"), y_true, given_tags)
    counts = confusion_counts(data)
    assert counts[[0, 2, 3, 3], [0, 1, 2, 3]].tolist() == [1, 1, 1, 1]
    assert counts.sum() == 4
    labels = confusion_matrix_figure(data).axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == ["health", "heart", "law", "none"]


def test_a_reliability_diagram_names_its_error_and_a_curve_its_labels(taxonomy):
    y_true = np.eye(3, dtype=bool)[[0, 1, 2, 0, 1]]
    for name, error, answers in (("kind", "0.200", 5), ("field", "0.133", 15)):
        data = held_out(taxonomy.facet(name), y_true, y_true * 0.7 + 0.1)
        upper, lower = reliability_figure(data).axes
        assert f"{name}: calibration error {error}" in upper.get_title()
        assert sum(bar.get_height() for bar in lower.patches) == answers
    points = [LearningPoint(count, {"kind": data}) for count in (2, 4)]
    (axes,) = learning_curve_figure(points).axes
    assert axes.get_xlabel() == "labels trained on"
    assert axes.containers[0].lines[0].get_xdata().tolist() == [2, 4]
    assert axes.containers[0].lines[0].get_ydata() == pytest.approx([1, 1])
