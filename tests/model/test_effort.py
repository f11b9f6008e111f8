import numpy as np
import pytest

from tagger.errors import TaggerError
from tagger.model import Calibration, calibrated_probabilities, load_model
from tagger.papers import EFFORTS, TEXT_VIEWS, Paper

LONG = "Hearts beat and courts sit. " * 30
PAPERS = [
    Paper("A survey of the heart", f"{LONG}We ask a judge."),
    Paper("Court and trial", f"The network has a drug question. {LONG}"),
    Paper("", "heart heart heart"),
    Paper("A question", f"{LONG}We survey the court."),
]


@pytest.fixture
def calibrated(model):
    """A model with another calibration for each text view."""
    model.calibrations = {
        view: dict.fromkeys(model.heads, Calibration(scale, 0.1))
        for view, scale in zip(TEXT_VIEWS, (0.5, 0.7, 1.0), strict=True)
    }
    return model


def by_view(model, view):
    vectors = model.encoder.encode([TEXT_VIEWS[view](paper) for paper in PAPERS])
    terms = model.lexical.transform(PAPERS)
    return vectors, {
        name: calibrated_probabilities(
            head.facet, head.scores(vectors, terms), model.calibrations[view][name]
        )
        for name, head in model.heads.items()
    }


@pytest.mark.parametrize("effort", EFFORTS)
def test_an_effort_is_the_mean_of_its_views_and_has_the_words_of_the_whole(
    calibrated, effort, monkeypatch
):
    views = [by_view(calibrated, view) for view in EFFORTS[effort]]
    model = calibrated.at_effort(effort)
    found = model.predict(PAPERS)
    assert np.allclose(found.vectors, views[-1][0])
    assert found.members["kind"].shape == (2, len(PAPERS), 3)
    # A paper is tagged alike alone, among others, and in whatever batches.
    monkeypatch.setattr("tagger.model.model._BATCH_SIZE", 3)
    seen = []
    in_batches = model.predict(PAPERS, lambda *step: seen.append(step)).probabilities
    assert sorted(seen) == seen
    assert {(3, 4), (4, 4)} <= {*seen}
    for name, values in found.probabilities.items():
        assert np.allclose(values, np.mean([each[name] for _, each in views], axis=0))
        alone = [model.predict_proba([paper])[name] for paper in PAPERS]
        assert np.allclose(values, np.concatenate(alone))
        assert np.allclose(values, in_batches[name])
    assert model.predict_proba([])["kind"].shape == (0, 3)


def test_a_text_is_encoded_once(calibrated, monkeypatch):
    encoded, encode = [], calibrated.encoder.encode
    monkeypatch.setattr(
        calibrated.encoder, "encode", lambda texts, report: encoded.extend(texts) or encode(texts)
    )
    short = [Paper("A survey", ""), Paper("", "heart"), Paper("A survey", "")]
    calibrated.predict(short)
    assert sorted(encoded) == ["A survey.", "heart"]


def test_an_effort_that_is_not_calibrated_is_named(model):
    with pytest.raises(TaggerError, match="not calibrated for low effort"):
        model.at_effort("low")
    with pytest.raises(TaggerError, match="unknown effort 'lazy'"):
        model.at_effort("lazy")
    assert model.at_effort("full") is model


def test_a_saved_model_knows_its_efforts(saved_model):
    model = load_model(saved_model)
    low = model.at_effort("low")
    assert model.calibrations.keys() == TEXT_VIEWS.keys()
    assert model.reference.out_of_fold.keys() == EFFORTS.keys()
    assert (low.reference.similarity == model.reference.out_of_fold["low"].similarity).all()
    assert not np.array_equal(low.reference.similarity, model.reference.similarity)
    assert not np.array_equal(
        low.predict_proba(PAPERS)["kind"], model.predict_proba(PAPERS)["kind"]
    )


def test_each_effort_has_its_thresholds(calibrated):
    assert calibrated.rule().thresholds == dict.fromkeys(calibrated.heads, 0.5)
    calibrated.effort_thresholds = {"low": {"kind": 0.5, "field": 0.3}}
    assert calibrated.at_effort("low").rule(0.7).thresholds["field"] == 0.3
    assert calibrated.at_effort("full").rule().thresholds["field"] == 0.5
