"""Cues: exact phrases of a taxonomy that speak for a tag."""

import numpy as np
import pytest
from helpers.samples import label_of, small_taxonomy
from helpers.tiny_encoder import save_tiny_encoder

from tagger.model import (
    cue_weights,
    cues_of,
    load_model,
    match_cues,
    model_of_definitions,
)
from tagger.papers import Paper
from tagger.taxonomy import Taxonomy
from tagger.training import TrainingSettings, train

CUES = {"survey": (": a survey", "literature review"), "heart": ("double-blind",)}


def taxonomy_with(cues):
    content = small_taxonomy().model_dump()
    for facet in content["facets"]:
        for tag in facet["tags"]:
            tag["cues"] = cues.get(tag["name"], ())
    return Taxonomy.model_validate(content)


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("Trees: A Survey of Roots", [1, 0]),
        ("TREES: a  survey", [1, 0]),
        ("A survey", [0, 0]),
        ("A Literature-Review of Blood", [1, 0]),
        ("Double blind, a literature review", [1, 1]),
        ("Non-double-blind", [0, 0]),
        ("Doubled blindness", [0, 0]),
        ("", [0, 0]),
    ],
)
def test_a_phrase_is_found_whole_however_it_is_written(title, found):
    cues = cues_of(taxonomy_with(CUES))
    assert match_cues(cues, [Paper(title, "Some text.")]).tolist() == [found]
    assert match_cues(cues, [Paper("Other", title)]).tolist() == [found]


def test_a_taxonomy_with_cues_is_another_version_and_without_is_as_before():
    assert taxonomy_with({}).version == small_taxonomy().version
    assert taxonomy_with(CUES).version != small_taxonomy().version


def encoder_in(folder):
    from tagger.training import TorchEncoder, load_trainable

    return TorchEncoder(load_trainable(str(save_tiny_encoder(folder)), 32))


def test_a_cue_counts_before_there_is_a_label(tmp_path):
    encoder, papers = encoder_in(tmp_path / "encoder"), [Paper("Court: a survey", "A judge.")]
    before, after = (
        model_of_definitions(taxonomy_with(cues), papers, encoder).predict_proba(papers)
        for cues in ({}, CUES)
    )
    place = small_taxonomy().facet("kind").tag_names.index("survey")
    assert after["kind"][0, place] > before["kind"][0, place] + 0.2
    assert after["field"] == pytest.approx(before["field"])


def labels_of(taxonomy, cued):
    """Surveys and others, whose texts differ in the cue alone."""
    facet = taxonomy.facet("kind")
    names = ["survey", next(name for name in facet.tag_names if name != "survey")]
    return [
        label_of(
            f"Court {number}{': a survey' if (name == 'survey') == cued else ''}",
            text="A judge and a court.",
            tags={"kind": [name], "field": []},
        )
        for number, name in enumerate(names * 12)
    ]


@pytest.mark.parametrize("cued", [True, False])
def test_labels_teach_how_much_a_cue_counts_and_a_saved_model_knows_it(tmp_path, cued):
    """With labels that say the contrary, the cue speaks against its tag."""
    taxonomy = taxonomy_with(CUES)
    settings = TrainingSettings(
        encoder=str(save_tiny_encoder(tmp_path / "encoder")), epochs=0, folds=2, max_tokens=32
    )
    train(labels_of(taxonomy, cued), taxonomy, settings, tmp_path / "model")
    model = load_model(tmp_path / "model")
    place = taxonomy.facet("kind").tag_names.index("survey")
    column = len(model.lexical.vocabulary)
    weights = model.heads["kind"].lexical.weights[:, column]
    assert (weights[place] > np.delete(weights, place).min()) == cued
    shown, hidden = model.predict_proba(
        [Paper("Court 99: a survey", "A judge and a court."), Paper("Court 99", "A judge.")]
    )["kind"][:, place]
    assert (shown > hidden) == cued


def test_the_weights_are_those_of_the_facet_alone():
    taxonomy = taxonomy_with(CUES)
    kind, field = (cue_weights(taxonomy, facet, 5) for facet in taxonomy.facets)
    assert np.argwhere(kind).tolist() == [[taxonomy.facets[0].tag_names.index("survey"), 3]]
    assert np.argwhere(field).tolist() == [[taxonomy.facets[1].tag_names.index("heart"), 4]]
