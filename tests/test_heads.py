import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tagger.heads import Calibration, Head, Linear, probabilities

logits = arrays(np.float64, (2, 4, 3), elements=st.floats(-50, 50))
calibrations = st.builds(
    Calibration, st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), st.floats(-5, 5)
)


@given(logits, calibrations)
def test_exclusive_rows_sum_to_one(taxonomy, scores, calibration):
    chances = probabilities(taxonomy.facet("kind"), scores, calibration)
    assert chances.sum(axis=1) == pytest.approx(1)
    assert (chances >= 0).all()


@given(logits, calibrations)
def test_a_parent_is_at_least_as_likely_as_its_child(taxonomy, scores, calibration):
    chances = probabilities(taxonomy.facet("field"), scores, calibration)
    assert (chances[:, 0] >= chances[:, 1]).all()
    assert ((chances >= 0) & (chances <= 1)).all()


def test_calibration_moves_confidence_not_rank(taxonomy):
    facet = taxonomy.facet("kind")
    scores = np.array([[[2.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]])
    sharp = probabilities(facet, scores, Calibration(scales=(3.0, 1.0)))
    plain = probabilities(facet, scores, Calibration())
    assert sharp[0, 0] > plain[0, 0]
    assert (np.argsort(sharp) == np.argsort(plain)).all()


def test_a_head_adds_up_its_parts(taxonomy):
    encoder = Linear(np.eye(3), np.array([0.0, 0.0, 1.0]))
    lexical = Linear(np.ones((3, 2)), np.zeros(3))
    head = Head(taxonomy.facet("kind"), encoder, lexical, Calibration((1.0, 2.0)))
    vectors, terms = np.array([[1.0, 2.0, 3.0]]), np.array([[0.5, 0.5]])
    assert head.scores(vectors, terms).tolist() == [[[1.0, 2.0, 4.0]], [[1.0, 1.0, 1.0]]]
    odds = np.exp([3.0, 4.0, 6.0])
    assert head.predict_proba(vectors, terms)[0] == pytest.approx(odds / odds.sum())
