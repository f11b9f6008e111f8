import numpy as np
import pytest

from tagger.errors import TaggerError
from tagger.model import (
    EFFORTS,
    Calibration,
    calibrated_probabilities,
    load_model,
    paper_confidence,
)
from tagger.papers import TEXT_VIEWS, Paper

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


@pytest.mark.parametrize(
    ("effort", "first", "last"),
    [("low", "title", "title"), ("balanced", "excerpt", "whole"), ("full", "whole", "whole")],
)
def test_an_effort_reads_its_views_and_the_words_of_the_whole(
    calibrated, effort, first, last, monkeypatch
):
    (vectors, brief), (more_vectors, more) = by_view(calibrated, first), by_view(calibrated, last)
    confidence = paper_confidence(calibrated.taxonomy, brief)
    threshold = float(np.sort(confidence)[1])
    monkeypatch.setattr("tagger.model.model.READ_ON_BELOW", threshold)
    early = (confidence >= threshold)[:, None]
    assert 0 < early.sum() < len(PAPERS)
    model = calibrated.at_effort(effort)
    found = model.predict(PAPERS)
    assert np.allclose(found.vectors, np.where(early, vectors, more_vectors))
    assert found.members["kind"].shape == (2, len(PAPERS), 3)
    # A paper is tagged alike alone, among others, and in whatever batches.
    monkeypatch.setattr("tagger.model.model._BATCH_SIZE", 3)
    seen = []
    in_batches = model.predict(PAPERS, lambda *step: seen.append(step)).probabilities
    assert seen == [(3, 4), (4, 4)]
    for name, values in found.probabilities.items():
        assert np.allclose(values, np.where(early, brief[name], more[name]))
        alone = [model.predict_proba([paper])[name] for paper in PAPERS]
        assert np.allclose(values, np.concatenate(alone))
        assert np.allclose(values, in_batches[name])
    assert model.predict_proba([])["kind"].shape == (0, 3)


def test_an_effort_that_is_not_calibrated_is_named(model):
    with pytest.raises(TaggerError, match="not calibrated for low effort"):
        model.at_effort("low")
    with pytest.raises(TaggerError, match="no effort 'lazy'"):
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
