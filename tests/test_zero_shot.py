import numpy as np
import pytest

from tagger.head_training import fit_head
from tagger.heads import Linear
from tagger.taxonomy import Facet
from tagger.zero_shot import prototypes, score_by_definition

TAGS, PAPERS, SIZE = 5, 60, 24


def facet_of(exclusive: bool) -> Facet:
    tags = [{"name": f"tag{n}", "definition": "Something."} for n in range(TAGS)]
    return Facet.model_validate(
        {"name": "any", "definition": "Any.", "exclusive": exclusive, "tags": tags}
    )


def drawn(tags: np.ndarray, seed: int) -> np.ndarray:
    """Draw a paper of each tag: near its definition, which is an axis, and near other things."""
    rng = np.random.default_rng(seed)
    vectors = np.eye(SIZE)[tags] + rng.normal(size=(len(tags), SIZE)) * 0.15
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_tag_without_labels_is_told_by_its_definition(exclusive):
    facet = facet_of(exclusive)
    tags = np.arange(PAPERS) % (TAGS - 1)
    truth = np.eye(TAGS, dtype=bool)[tags]
    vectors, words = drawn(tags, 0), np.zeros((PAPERS, 0))
    definitions = np.eye(SIZE, dtype=np.float32)[:TAGS]
    head = fit_head(facet, vectors, words, truth, definitions, ~truth.any(axis=0))
    asked = np.arange(50) % TAGS
    chances = head.predict_proba(drawn(asked, 1), np.zeros((50, 0)))
    assert (chances.argmax(axis=1) == asked).mean() > 0.9
    without = fit_head(facet, vectors, words, truth, definitions)
    never = without.predict_proba(drawn(asked, 1), np.zeros((50, 0)))
    assert (never[:, -1] < 0.05).all()
    known = slice(0, TAGS - 1)
    assert (head.encoder.weights[known] == without.encoder.weights[known]).all()
    assert (head.encoder.bias[known] == without.encoder.bias[known]).all()


def test_examples_stand_in_where_a_definition_says_nothing():
    facet = facet_of(exclusive=False)
    content = facet.model_dump()
    content["tags"][-1]["examples"] = ["One", "Another"]
    shown = Facet.model_validate(content)
    axes = np.eye(SIZE, dtype=np.float32)
    # The last definition is far from its papers, the examples are near.
    definitions = np.concatenate([axes[: TAGS - 1], axes[TAGS : TAGS + 1]])
    both = np.concatenate([definitions, axes[[TAGS - 1, TAGS - 1]]])
    typical = prototypes(shown, both)
    assert typical.shape == (TAGS, SIZE)
    assert typical[-1, TAGS - 1] == pytest.approx(2 / 5**0.5)
    assert (typical[:-1] == definitions[:-1]).all()
    tags = np.arange(PAPERS) % (TAGS - 1)
    truth = np.eye(TAGS, dtype=bool)[tags]
    asked = drawn(np.full(20, TAGS - 1), 1)
    chances = {}
    for case, vectors in ((facet, definitions), (shown, both)):
        head = fit_head(
            case, drawn(tags, 0), np.zeros((PAPERS, 0)), truth, vectors, ~truth.any(axis=0)
        )
        chances[case is shown] = head.predict_proba(asked, np.zeros((20, 0)))[:, -1]
    assert (chances[False] < 0.5).all()
    assert (chances[True] > 0.5).all()


@pytest.mark.parametrize("exclusive", [True, False])
def test_definitions_that_say_nothing_are_not_listened_to(exclusive):
    facet = facet_of(exclusive)
    tags = np.arange(PAPERS) % (TAGS - 1)
    truth = np.eye(TAGS, dtype=bool)[tags]
    vectors = drawn(tags, 0)
    misleading = -np.eye(SIZE, dtype=np.float32)[:TAGS]
    head = fit_head(facet, vectors, np.zeros((PAPERS, 0)), truth, misleading, ~truth.any(axis=0))
    alone = fit_head(facet, vectors, np.zeros((PAPERS, 0)), truth, misleading)
    assert (head.encoder.weights == alone.encoder.weights).all()
    assert (head.encoder.bias == alone.encoder.bias).all()


@pytest.mark.parametrize("exclusive", [True, False])
def test_papers_that_are_all_alike_teach_nothing(exclusive):
    facet = facet_of(exclusive)
    truth = np.zeros((4, TAGS), dtype=bool)
    truth[:2, 0] = truth[2:, 1] = True
    vectors = np.tile(np.eye(SIZE, dtype=np.float32)[0], (4, 1))
    definitions = np.eye(SIZE, dtype=np.float32)[:TAGS]
    classifier = Linear(np.zeros((TAGS, SIZE)), np.full(TAGS, -3.0))
    usual = fit_head(facet, vectors, np.zeros((4, 0)), truth).calibration
    told = ~truth.any(axis=0)
    found = score_by_definition(facet, classifier, vectors, definitions, truth, told, usual)
    assert (found.bias == -3).all()
