import numpy as np
import pytest
from safetensors.numpy import save_file

from tagger.compatibility import (
    Answers,
    Champion,
    Compatibility,
    SoftLabels,
    guide,
    load_compatibility,
    save_compatibility,
)
from tagger.errors import TaggerError
from tagger.model import load_model
from tagger.paper import Paper
from tagger.taxonomy import Taxonomy
from tagger.weight_change import WeightChange


def a_change(seed=0):
    rng = np.random.default_rng(seed)
    return WeightChange.of("base", {"a.weight": rng.normal(size=(3, 4)).astype(np.float32)})


def answers(ids, seed=0, earlier=""):
    rng = np.random.default_rng(seed)
    scores = {name: rng.normal(size=(2, len(ids), 3)) * 3 for name in ("kind", "field")}
    return Answers(tuple(ids), frozenset(ids + earlier), len(ids), scores, a_change(seed))


@pytest.fixture
def champion(saved_model):
    folds = (answers("abc"), answers("cdef", earlier="z"), answers("ef"))
    return Champion(load_model(saved_model), Compatibility(a_change(9), folds))


def test_a_fold_that_saw_a_held_out_paper_has_no_say(champion):
    assert champion.answers_without({"a"}).ids == ("c", "d", "e", "f")
    assert champion.answers_without({"d"}).ids == ("a", "b", "c")
    assert champion.answers_without({"c", "x"}).ids == ("e", "f")
    assert champion.answers_without({"a", "e"}) is None
    assert champion.folds_of_papers() == {"c": 2, "e": 0, "f": 0}
    # Nor has one that learned from a fold which saw it.
    assert champion.answers_without({"z"}).ids == ("a", "b", "c")
    assert champion.answers_without(set()).ids == ("c", "d", "e", "f")


def test_guidance_is_only_on_papers_that_the_champion_has_right(champion, taxonomy):
    known = champion.left.folds[0]
    ids = ["b", "new", "a"]
    rows = [1, 0, 0]
    truth = {}
    for name, head in champion.model.heads.items():
        scores = np.tensordot(head.calibration.scales, known.scores[name], axes=1)
        tags = scores == scores.max(axis=1, keepdims=True) if name == "kind" else scores >= 0
        truth[name] = tags[rows]
        if name == "field":
            truth[name][:, 0] |= truth[name][:, 1]
    guidance = guide(champion, known, ids, truth, taxonomy)
    assert guidance.change is known.change
    assert (guidance.seen, guidance.labels) == ({"a", "b", "c"}, 3)
    assert guidance.soft["kind"].right.tolist() == [True, False, True]
    # It learned from as many papers as there are now; of twice as many it knows half.
    assert guidance.soft["kind"].trust == 1
    twice = guide(
        champion, known, ids * 2, {k: np.tile(v, (2, 1)) for k, v in truth.items()}, taxonomy
    )
    assert twice.soft["kind"].trust == 0.5
    assert (guidance.soft["kind"].scores[:, [0, 2]] == known.scores["kind"][:, [1, 0]]).all()
    truth["kind"][0] = np.roll(truth["kind"][0], 1)
    guidance = guide(champion, known, ids, truth, taxonomy)
    assert guidance.soft["kind"].right.tolist() == [False, False, True]
    assert guidance.soft["field"].right.tolist() == [True, False, True]


def test_a_champion_answers_for_papers(saved_model):
    model = load_model(saved_model)
    papers = [Paper("Reading fast", "We show how."), Paper("A survey", "")]
    folds = (answers("ab", earlier="z"), answers("bc"))
    found = Champion(model, Compatibility(a_change(9), folds)).answers(papers)
    assert (found.seen, found.labels) == (set("abcz"), 3)
    assert found.ids == tuple(paper.id for paper in papers)
    assert (found.change.arrays()["a.weight"] == a_change(9).arrays()["a.weight"]).all()
    terms = model.lexical.transform(papers)
    for name, head in model.heads.items():
        assert found.scores[name] == pytest.approx(head.scores(model.encode(papers), terms))


def test_facets_with_other_tags_are_left_alone(champion, taxonomy):
    content = taxonomy.model_dump()
    content["facets"][0]["tags"] = content["facets"][0]["tags"][:2]
    narrow = Taxonomy.model_validate(content)
    assert [facet.name for facet in champion.facets(narrow)] == ["field"]
    truth = {"kind": np.zeros((1, 2), dtype=bool), "field": np.zeros((1, 3), dtype=bool)}
    known = champion.left.folds[0]
    assert list(guide(champion, known, ["a"], truth, narrow).soft) == ["field"]


def test_soft_labels_are_taken_with_their_papers():
    soft = SoftLabels(np.arange(12.0).reshape(2, 3, 2), np.array([True, False, True]), 0.5)
    part = soft.take(np.array([2, 1]))
    assert part.scores[:, 0].tolist() == [[4, 5], [10, 11]]
    assert part.right.tolist() == [True, False]
    assert part.trust == 0.5


def test_what_a_training_leaves_survives_a_file(champion, tmp_path):
    file = tmp_path / "x.safetensors"
    before = champion.left
    save_compatibility(before, file)
    plain = tmp_path / "plain"
    plain.touch()
    assert file.stat().st_mode == plain.stat().st_mode
    after = load_compatibility(file)
    pairs = [(before.change, after.change)]
    for one, other in zip(before.folds, after.folds, strict=True):
        assert (one.ids, one.seen, one.labels) == (other.ids, other.seen, other.labels)
        assert one.scores.keys() == other.scores.keys()
        assert (one.scores["kind"] == other.scores["kind"]).all()
        pairs.append((one.change, other.change))
    for one, other in pairs:
        assert one.base == other.base == "base"
        assert one.steps.keys() == other.steps.keys()
        assert (one.arrays()["a.weight"] == other.arrays()["a.weight"]).all()


@pytest.mark.parametrize("content", [b"junk", b"", None])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    file = tmp_path / "bad.safetensors"
    if content is None:
        save_file({"x": np.zeros(2)}, file)
    else:
        file.write_bytes(content)
    with pytest.raises(TaggerError, match="does not hold what a training leaves"):
        load_compatibility(file)
