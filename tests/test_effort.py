import json

import numpy as np
import pytest
from helpers.tiny_model import make_efforts, save_tiny_model

from tagger.decision import paper_confidence
from tagger.errors import TaggerError
from tagger.model import TaggerModel, load_model
from tagger.paper import Paper
from tagger.reading import READINGS

LONG = "Hearts beat and courts sit. " * 30
PAPERS = [
    Paper("A survey of the heart", f"{LONG}We ask a judge."),
    Paper("Court and trial", f"The network has a drug question. {LONG}"),
    Paper("", "heart heart heart"),
    Paper("A question", f"{LONG}We survey the court."),
]


def with_efforts(model, sure_from):
    return TaggerModel(
        model.taxonomy,
        model.encoder,
        model.lexical,
        [*model.heads.values()],
        model.reference,
        model.name,
        model.digest,
        make_efforts(model.taxonomy, sure_from),
    )


def by_reading(model, reading):
    """What the heads say of one reading, words of the whole paper beside."""
    read = [READINGS[reading](paper) for paper in PAPERS]
    vectors, terms = model.encoder.encode(read), model.lexical.transform(PAPERS)
    return {name: head.predict_proba(vectors, terms) for name, head in model.heads.items()}


def equal(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_low_effort_reads_titles_and_full_effort_everything(model):
    model = with_efforts(model, 0.7)
    assert equal(model.at_effort("low").predict_proba(PAPERS), by_reading(model, "title"))
    assert equal(model.at_effort("full").predict_proba(PAPERS), by_reading(model, "whole"))


def test_balanced_effort_reads_on_where_an_excerpt_leaves_doubt(model):
    brief, whole = by_reading(model, "excerpt"), by_reading(model, "whole")
    sure = paper_confidence(model.taxonomy, brief)
    threshold = float(np.sort(sure)[1])
    said = with_efforts(model, threshold).at_effort("balanced").predict(PAPERS)
    early = (sure >= threshold)[:, None]
    assert 0 < early.sum() < len(PAPERS)
    assert equal(
        said.probabilities, {name: np.where(early, brief[name], whole[name]) for name in brief}
    )
    vectors = model.encode(PAPERS)
    read_on = np.flatnonzero(~early[:, 0])
    assert np.array_equal(said.vectors[read_on], vectors[read_on])
    assert said.parts["kind"].shape == (2, len(PAPERS), 3)


@pytest.mark.parametrize("effort", ["low", "balanced", "full"])
def test_a_paper_is_tagged_alike_in_any_company(model, effort):
    model = with_efforts(model, 0.6).at_effort(effort)
    together = model.predict_proba(PAPERS)
    alone = [model.predict_proba([paper]) for paper in PAPERS]
    for name in together:
        assert np.allclose(together[name], np.concatenate([each[name] for each in alone]))


def test_no_papers_have_no_probabilities_at_any_effort(model):
    model = with_efforts(model, 0.7)
    for effort in ("low", "balanced", "full"):
        assert model.at_effort(effort).predict_proba([])["kind"].shape == (0, 3)


def test_what_is_remembered_is_what_that_effort_would_have_said(model):
    model = with_efforts(model, 0.7)
    low = model.at_effort("low").reference
    assert np.array_equal(low.familiarity, model.reference.efforts["low"].familiarity)
    assert not np.array_equal(low.familiarity, model.reference.familiarity)


def test_an_effort_that_was_not_learned_is_named(model):
    with pytest.raises(TaggerError, match="has not learned to read with low effort"):
        model.at_effort("low")
    with pytest.raises(TaggerError, match="there is no effort 'lazy'"):
        model.at_effort("lazy")
    assert model.at_effort("full") is model


def test_a_saved_model_knows_its_efforts(tmp_path, taxonomy):
    model = load_model(save_tiny_model(tmp_path / "model", taxonomy))
    assert model.efforts == make_efforts(taxonomy)
    assert set(model.reference.efforts) == {"low", "balanced"}
    assert not equal(model.predict_proba(PAPERS), model.at_effort("low").predict_proba(PAPERS))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda efforts: efforts.update(full=efforts["low"]),
        lambda efforts: efforts.update(lazy=efforts["low"]),
        lambda efforts: efforts.update(low=[]),
        lambda efforts: efforts["low"][0]["calibration"].pop("kind"),
        lambda efforts: efforts["low"][0]["calibration"]["kind"].update(scales=[1.0]),
        lambda efforts: efforts["low"][0].update(reading="cover"),
    ],
)
def test_efforts_that_do_not_fit_are_refused(tmp_path, taxonomy, spoil):
    folder = save_tiny_model(tmp_path / "model", taxonomy)
    path = folder / "model.json"
    manifest = json.loads(path.read_text())
    spoil(manifest["efforts"])
    path.write_text(json.dumps(manifest))
    with pytest.raises(TaggerError):
        load_model(folder)
