import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from tagger.evaluation import (
    bootstrap_weights,
    evaluate,
    interval,
    predict_labels,
    weighted_figures,
)

probabilities = arrays(np.float64, (5, 3), elements=st.floats(0, 1))
truths = arrays(np.bool_, (5, 3))


def test_unused_tags_are_left_out_of_averages(taxonomy):
    facet = taxonomy.facet("field")
    y_true = np.array([[True, False, False], [True, False, False]])
    figures = evaluate(facet, y_true, np.array([[0.9, 0.1, 0.1], [0.8, 0.1, 0.1]]))
    assert (figures["macro_f1"], figures["micro_f1"], figures["f1/law"]) == (1, 1, 0)
    nobody = np.zeros((2, 3), dtype=bool)
    assert evaluate(facet, nobody, np.zeros((2, 3)))["macro_f1"] == 0


@given(truths, probabilities)
def test_f1_is_that_of_scikit_learn(taxonomy, y_true, drawn):
    facet = taxonomy.facet("field")
    figures = evaluate(facet, y_true, drawn)
    predicted = predict_labels(facet, drawn)
    per_tag = f1_score(y_true, predicted, average=None, zero_division=0.0)
    assert [figures[f"f1/{tag}"] for tag in facet.tag_names] == pytest.approx(list(per_tag))
    micro = f1_score(y_true, predicted, average="micro", zero_division=0.0)
    assert figures["micro_f1"] == pytest.approx(micro)
    assert figures["brier"] == pytest.approx(((drawn - y_true) ** 2).mean())
    bins = np.where(predicted, np.minimum((drawn * 10).astype(int), 9), -1)
    gaps = [(drawn - y_true)[bins == number].sum() for number in range(10)]
    error = np.abs(gaps).sum() / max(predicted.sum(), 1)
    assert figures["calibration_error"] == pytest.approx(error)


def test_base_rates_alone_are_not_called_calibrated(taxonomy):
    """Few of the many pairs of paper and tag are given; only these count."""
    facet = taxonomy.facet("field")
    y_true = np.arange(300).reshape(100, 3) % 20 == 0
    drawn = np.tile(y_true.mean(axis=0), (100, 1))
    drawn[:10] = 0.9
    assert evaluate(facet, y_true, drawn)["calibration_error"] > 0.7


def test_tags_with_few_labels_are_left_out_of_macro_f1(taxonomy):
    facet = taxonomy.facet("field")
    y_true = np.zeros((20, 3), dtype=bool)
    y_true[:6, 0] = y_true[:4, 1] = True
    figures = evaluate(facet, y_true, y_true * [1.0, 0.0, 0.0])
    assert (figures["macro_f1"], figures["f1/heart"]) == (1, 0)
    # Without any tag with more, they count.
    assert evaluate(facet, y_true[:, [2, 1, 2]], y_true * [0.0, 0.0, 0.0])["macro_f1"] == 0


@given(truths, probabilities, st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_a_weight_equals_repeating_the_paper(taxonomy, y_true, drawn, weights):
    for name in ("kind", "field"):
        facet = taxonomy.facet(name)
        many = np.repeat(np.arange(5), weights)
        repeated = evaluate(facet, y_true[many], drawn[many])
        weighted = weighted_figures(facet, y_true, drawn, np.array([weights], dtype=float))
        # Five papers are too few for any tag, whatever their weights.
        del repeated["macro_f1"], weighted["macro_f1"]
        if len(many):
            assert {key: value[0] for key, value in weighted.items()} == pytest.approx(repeated)


@given(truths, probabilities, st.floats(1e-3, 1))
def test_figures_depend_on_the_shares_of_the_weights_alone(taxonomy, y_true, drawn, factor):
    facet, weights = taxonomy.facet("field"), np.arange(1.0, 6.0)[None]
    whole = weighted_figures(facet, y_true, drawn, weights)
    parts = weighted_figures(facet, y_true, drawn, weights * factor)
    for name, values in whole.items():
        assert parts[name] == pytest.approx(values), name


def test_a_bootstrap_interval_has_the_width_of_its_standard_error():
    weights = bootstrap_weights(400)
    assert (weights.sum(axis=1) == 400).all()
    values = np.arange(400) % 2
    low, high = interval(weights @ values / 400)
    # A share of one half in 400 papers has a standard error of 0.025.
    assert (low, high) == pytest.approx((0.5 - 0.049, 0.5 + 0.049), abs=0.005)
