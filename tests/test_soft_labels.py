from dataclasses import replace

import numpy as np
import pytest

from tagger.errors import TaggerError
from tagger.model import load_model
from tagger.paper import Paper
from tagger.soft_labels import (
    Answers,
    Champion,
    SoftLabels,
    guide,
    load_answers,
    save_answers,
)
from tagger.taxonomy import Taxonomy


def answers(ids, seed=0):
    rng = np.random.default_rng(seed)
    scores = {name: rng.normal(size=(2, len(ids), 3)) * 3 for name in ("kind", "field")}
    return Answers(tuple(ids), rng.normal(size=(len(ids), 16)).astype(np.float32), scores)


@pytest.fixture
def champion(saved_model):
    return Champion(load_model(saved_model), (answers("abc"), answers("cdef"), answers("ef")))


def test_a_fold_that_saw_a_held_out_paper_has_no_say(champion):
    assert champion.answers_without({"a"}).ids == ("c", "d", "e", "f")
    assert champion.answers_without({"d"}).ids == ("a", "b", "c")
    assert champion.answers_without({"c", "x"}).ids == ("e", "f")
    assert champion.answers_without({"a", "e"}) is None
    assert champion.answers_without(set()).ids == ("c", "d", "e", "f")


def test_guidance_is_only_on_papers_that_the_champion_has_right(champion, taxonomy):
    known = champion.folds[0]
    ids = ["b", "new", "a"]
    rows = [1, 0, 0]
    truth = {}
    for name, head in champion.model.heads.items():
        scores = np.tensordot(head.calibration.scales, known.scores[name], axes=1)
        tags = scores == scores.max(axis=1, keepdims=True) if name == "kind" else scores >= 0
        truth[name] = tags[rows]
        if name == "field":
            truth[name][:, 0] |= truth[name][:, 1]
    judged = {name: np.ones(3, dtype=bool) for name in truth}
    guidance = guide(champion, known, ids, truth, judged, taxonomy)
    assert guidance.kept.tolist() == [True, False, True]
    assert (guidance.vectors[[0, 2]] == known.vectors[[1, 0]]).all()
    assert (guidance.soft["kind"].scores[:, [0, 2]] == known.scores["kind"][:, [1, 0]]).all()
    truth["kind"][0] = np.roll(truth["kind"][0], 1)
    guidance = guide(champion, known, ids, truth, judged, taxonomy)
    assert guidance.kept.tolist() == [False, False, True]
    assert guidance.soft["kind"].right.tolist() == [False, False, True]
    assert guidance.soft["field"].right.tolist() == [True, False, True]
    # Where nobody judged, nothing is wrong.
    judged["kind"][0] = False
    guidance = guide(champion, known, ids, truth, judged, taxonomy)
    assert guidance.kept.tolist() == [True, False, True]


def test_titles_stay_where_they_were_beside_their_papers(champion, taxonomy):
    known = champion.folds[0]
    titles = -known.vectors
    seen = replace(known, vectors=np.concatenate([known.vectors, titles]))
    ids = ["b", "new", "a"]
    truth = {name: np.zeros((3, 3), dtype=bool) for name in ("kind", "field")}
    judged = {name: np.zeros(3, dtype=bool) for name in truth}
    guidance = guide(champion, seen, ids, truth, judged, taxonomy)
    whole, title = guidance.vectors[:3], guidance.vectors[3:]
    assert (title == -whole).all()
    assert (title[[0, 2]] == titles[[1, 0]]).all()
    assert guidance.kept.tolist() == [True, False, True]


def test_a_champion_answers_for_papers_and_titles(saved_model):
    model = load_model(saved_model)
    papers = [Paper("Reading fast", "We show how."), Paper("A survey", "")]
    found = Champion(model, ()).answers(papers)
    assert found.vectors.shape == (4, model.encode(papers).shape[1])
    assert found.vectors[:2] == pytest.approx(model.encode(papers))
    titles = model.encoder.encode(["Reading fast", "A survey"])
    assert found.vectors[2:] == pytest.approx(titles)
    assert all(scores.shape[1] == 2 for scores in found.scores.values())


def test_facets_with_other_tags_are_left_alone(champion, taxonomy):
    content = taxonomy.model_dump()
    content["facets"][0]["tags"] = content["facets"][0]["tags"][:2]
    narrow = Taxonomy.model_validate(content)
    assert [facet.name for facet in champion.facets(narrow)] == ["field"]
    truth = {"kind": np.zeros((1, 2), dtype=bool), "field": np.zeros((1, 3), dtype=bool)}
    judged = {name: np.ones(1, dtype=bool) for name in truth}
    assert list(guide(champion, champion.folds[0], ["a"], truth, judged, narrow).soft) == ["field"]


def test_soft_labels_are_taken_with_their_papers():
    soft = SoftLabels(np.arange(12.0).reshape(2, 3, 2), np.array([True, False, True]))
    part = soft.take(np.array([2, 1]))
    assert part.scores[:, 0].tolist() == [[4, 5], [10, 11]]
    assert part.right.tolist() == [True, False]


def test_answers_survive_a_file(tmp_path):
    before = (answers("abc"), answers("de", 1))
    save_answers(before, tmp_path / "x.safetensors")
    for one, other in zip(before, load_answers(tmp_path / "x.safetensors"), strict=True):
        assert one.ids == other.ids
        assert (one.vectors == other.vectors).all()
        assert one.scores.keys() == other.scores.keys()
        assert (one.scores["kind"] == other.scores["kind"]).all()
    (tmp_path / "bad").write_bytes(b"junk")
    with pytest.raises(TaggerError, match="is no file of fold answers"):
        load_answers(tmp_path / "bad")
