import numpy as np
import pytest
from helpers.samples import label_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tagger.model import Calibration, Head, Linear, calibrated_probabilities
from tagger.model.calibration import member_probabilities
from tagger.training import TrainingData, TrainingSettings
from tagger.training.cross_validation import fit_heads

logits = arrays(np.float64, (2, 4, 3), elements=st.floats(-50, 50))
calibrations = st.builds(Calibration, st.floats(0, 10), st.floats(-5, 5))


@given(logits, calibrations)
def test_probabilities_of_any_scores_keep_their_contract(taxonomy, scores, calibration):
    kinds = calibrated_probabilities(taxonomy.facet("kind"), scores, calibration)
    assert kinds.sum(axis=1) == pytest.approx(1)
    assert (kinds >= 0).all()
    fields = calibrated_probabilities(taxonomy.facet("field"), scores, calibration)
    assert (fields[:, 0] >= fields[:, 1]).all(), "a parent is as likely as its child"
    assert ((fields >= 0) & (fields <= 1)).all()


def test_a_head_adds_up_its_members(taxonomy):
    encoder = Linear(np.eye(3), np.array([0.0, 0.0, 1.0]))
    lexical = Linear(np.ones((3, 2)), np.zeros(3))
    head = Head(taxonomy.facet("kind"), encoder, lexical)
    scores = head.scores(np.array([[1.0, 2.0, 3.0]]), np.array([[0.5, 0.5]]))
    assert scores.tolist() == [[[1.0, 2.0, 4.0]], [[1.0, 1.0, 1.0]]]
    odds = np.exp(2 * np.array([2.0, 3.0, 5.0]))
    found = calibrated_probabilities(head.facet, scores, Calibration(2.0))
    assert found[0] == pytest.approx(odds / odds.sum())
    by_vectors, by_words = member_probabilities(head.facet, scores, Calibration(2.0))
    assert by_vectors[0] == pytest.approx(np.exp([4, 8, 16]) / np.exp([4, 8, 16]).sum())
    assert by_words[0] == pytest.approx([1 / 3] * 3)


def test_words_about_the_own_work_count_in_exclusive_facets_only(model):
    labels = [
        label_of(
            f"{verb.title()} {n}",
            text=f"Courts differ. We {verb} {n}.",
            tags={"kind": [kind], "field": [field]},
        )
        for n in range(4)
        for verb, kind, field in [("survey", "survey", "law"), ("build", "method", "health")]
    ]
    data = TrainingData.of(labels, model.taxonomy)
    fitted = fit_heads(data, np.arange(len(labels)), TrainingSettings(), model.encoder)
    own = fitted.lexical.of_own_work
    assert [term for term, of in zip(fitted.lexical.vocabulary, own, strict=True) if of]
    weights = {head.facet.name: head.lexical.weights for head in fitted.heads}
    assert weights["kind"][:, own].any()
    assert not weights["field"][:, own].any()
    assert weights["field"][:, ~own].any()
