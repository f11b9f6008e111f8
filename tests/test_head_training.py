import numpy as np
import pytest

from tagger.model import Calibration, Head, Linear, calibrated_probabilities, prototypes
from tagger.taxonomy import Facet
from tagger.training.heads import add_zero_shot_tags, fit_head

TAGS, PAPERS, SIZE = 5, 60, 24
AXES = np.eye(SIZE, dtype=np.float32)
KNOWN = np.arange(PAPERS) % (TAGS - 1)
Y_TRUE = np.eye(TAGS, dtype=bool)[KNOWN]
"""Of papers with all tags but the last."""


def no_words(papers):
    return np.zeros((papers, 0))


def facet_of(exclusive: bool) -> Facet:
    tags = [{"name": f"tag{n}", "definition": "Something."} for n in range(TAGS)]
    return Facet.model_validate(
        {"name": "any", "definition": "Any.", "exclusive": exclusive, "tags": tags}
    )


def draw(tags: np.ndarray, seed: int) -> np.ndarray:
    """Draw a paper of each tag: near its definition, which is an axis, and near other things."""
    vectors = AXES[tags] + np.random.default_rng(seed).normal(size=(len(tags), SIZE)) * 0.15
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_a_head_learns_from_all_views_of_a_paper(taxonomy):
    facet, y_true = taxonomy.facet("kind"), np.eye(3, dtype=bool)
    vectors, titles = AXES[:3], AXES[3:6]
    alone = fit_head(facet, vectors, no_words(3), y_true).encoder.scores(titles)
    both = fit_head(facet, AXES[:6], no_words(3), y_true).encoder.scores(titles)
    assert np.ptp(alone, axis=1) == pytest.approx(0, abs=1e-6)
    assert both.argmax(axis=1).tolist() == [0, 1, 2]


def test_a_tag_that_every_paper_has_is_given(taxonomy):
    facet = taxonomy.facet("kind").model_copy(update={"exclusive": False})
    y_true = np.tile([True, False, False], (20, 1))
    vectors = draw(np.zeros(20, dtype=int), 0)

    def first(head):
        return calibrated_probabilities(facet, head.scores(vectors, no_words(20)), Calibration())[0]

    always, never, _ = first(fit_head(facet, vectors, no_words(20), y_true))
    assert always > 0.9
    assert never < 0.1
    assert (first(fit_head(facet, vectors[:0], no_words(0), y_true[:0])) < 0.5).all()


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_tag_without_labels_is_told_by_its_definition(exclusive):
    facet, vectors = facet_of(exclusive), draw(KNOWN, 0)
    without = fit_head(facet, vectors, no_words(PAPERS), Y_TRUE)
    head = add_zero_shot_tags(without, vectors, Y_TRUE, AXES[:TAGS], Calibration())
    asked = np.arange(50) % TAGS
    found, never = (
        calibrated_probabilities(facet, each.scores(draw(asked, 1), no_words(50)), Calibration())
        for each in (head, without)
    )
    assert (found.argmax(axis=1) == asked).mean() > 0.9
    assert (never[:, -1] < 0.05).all()
    assert (head.encoder.weights[:-1] == without.encoder.weights[:-1]).all()
    assert (head.encoder.bias[:-1] == without.encoder.bias[:-1]).all()


@pytest.mark.parametrize("exclusive", [True, False])
def test_definitions_that_say_nothing_change_nothing(exclusive):
    vectors = draw(KNOWN, 0)
    head = fit_head(facet_of(exclusive), vectors, no_words(PAPERS), Y_TRUE)
    assert add_zero_shot_tags(head, vectors, Y_TRUE, -AXES[:TAGS], Calibration()) is head
    alike = np.tile(AXES[0], (PAPERS, 1))
    still = Head(head.facet, Linear(np.zeros((TAGS, SIZE)), np.full(TAGS, -3.0)), head.lexical)
    assert add_zero_shot_tags(still, alike, Y_TRUE, AXES[:TAGS], Calibration()) is still


def test_examples_stand_in_where_a_definition_says_nothing():
    content = facet_of(exclusive=False).model_dump()
    content["tags"][-1]["examples"] = ["One", "Another"]
    facet = Facet.model_validate(content)

    class Fixed:
        """The last definition is far from its papers, the examples are near."""

        def encode(self, texts, progress=None):
            assert len(texts) == TAGS + 2
            return AXES[[*range(TAGS - 1), TAGS, TAGS - 1, TAGS - 1]]

    found = prototypes(facet, Fixed())
    assert found.shape == (TAGS, SIZE)
    assert found[-1, TAGS - 1] == pytest.approx(2 / 5**0.5)
    assert (found[:-1] == AXES[: TAGS - 1]).all()
