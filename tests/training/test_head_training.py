import numpy as np
import pytest

from tagger.evaluation.metrics import ENOUGH_LABELS
from tagger.model import Calibration, calibrated_probabilities, prototypes
from tagger.model.calibration import CAP
from tagger.taxonomy import Facet
from tagger.training.calibration import fit_calibration
from tagger.training.heads import HeadInputs, fit_head

TAGS, PAPERS, SIZE = 5, 60, 24
AXES = np.eye(SIZE, dtype=np.float32)
KNOWN = np.arange(PAPERS) % (TAGS - 1)
Y_TRUE = np.eye(TAGS, dtype=bool)[KNOWN]
"""Of papers with all tags but the last."""


def no_words(papers):
    return np.zeros((papers, 0))


def facet_of(exclusive):
    tags = [{"name": f"tag{n}", "definition": "Something."} for n in range(TAGS)]
    return Facet.model_validate(
        {"name": "any", "definition": "Any.", "exclusive": exclusive, "tags": tags}
    )


def draw(tags, seed):
    """Draw a paper of each tag: near its definition, which is an axis, and near other things."""
    vectors = AXES[tags] + np.random.default_rng(seed).normal(size=(len(tags), SIZE)) * 0.15
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


NOTHING = np.zeros((TAGS, SIZE), dtype=np.float32)
"""Vectors of definitions that say nothing."""


def test_a_head_learns_from_all_views_of_a_paper(taxonomy):
    facet, y_true = taxonomy.facet("kind"), np.eye(3, dtype=bool)
    vectors, titles = AXES[:3], AXES[3:6]
    given = HeadInputs(facet, vectors, no_words(3), y_true, NOTHING[:3])
    alone = fit_head(given).encoder.scores(titles)
    both = fit_head(given._replace(vectors=AXES[:6])).encoder.scores(titles)
    assert np.ptp(alone, axis=1) == pytest.approx(0, abs=1e-6)
    assert both.argmax(axis=1).tolist() == [0, 1, 2]


def test_a_tag_that_every_paper_has_is_given(taxonomy):
    facet = taxonomy.facet("kind").model_copy(update={"exclusive": False})
    y_true = np.tile([True, False, False], (20, 1))
    vectors = draw(np.zeros(20, dtype=int), 0)

    def first(head):
        scores = head.scores(vectors, no_words(20))
        return calibrated_probabilities(facet, scores, Calibration())[0]

    def fit(papers):
        terms = no_words(papers)
        return fit_head(HeadInputs(facet, vectors[:papers], terms, y_true[:papers], NOTHING[:3]))

    always, never, _ = first(fit(20))
    assert always > 0.9
    assert never < 0.1
    assert (first(fit(0)) < 0.5).all()


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_tag_without_labels_is_told_by_its_definition(exclusive):
    facet, vectors = facet_of(exclusive), draw(KNOWN, 0)
    asked = np.arange(50) % TAGS
    found, never = (
        calibrated_probabilities(
            facet,
            fit_head(HeadInputs(facet, vectors, no_words(PAPERS), Y_TRUE, definitions)).scores(
                draw(asked, 1), no_words(50)
            ),
            Calibration(),
        )
        for definitions in (AXES[:TAGS], -AXES[:TAGS])
    )
    assert (found.argmax(axis=1) == asked).mean() > 0.9
    # Definitions that mislead are not followed.
    assert (never[:, -1] < 0.05).all()
    assert (never.argmax(axis=1) == asked)[asked < TAGS - 1].mean() > 0.9


@pytest.mark.parametrize("exclusive", [True, False])
def test_one_label_of_a_tag_does_not_make_it_less_likely_than_none(exclusive):
    facet, known = facet_of(exclusive), np.append(KNOWN, TAGS - 1)
    vectors, y_true = draw(known, 0), np.eye(TAGS, dtype=bool)[known]
    asked = draw(np.full(20, TAGS - 1), 1)

    def last(papers):
        terms = no_words(papers)
        given = HeadInputs(facet, vectors[:papers], terms, y_true[:papers], AXES[:TAGS])
        head = fit_head(given)
        scores = head.scores(asked, no_words(20))
        return calibrated_probabilities(facet, scores, Calibration())[:, -1].mean()

    assert last(PAPERS + 1) > last(PAPERS) - 0.05
    assert last(PAPERS) > 0.3


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_tag_with_few_labels_is_never_certain(exclusive):
    facet, scores = facet_of(exclusive), np.zeros((2, PAPERS, TAGS))
    scores[0, :, -1] = 100.0
    few = Y_TRUE.copy()
    few[: ENOUGH_LABELS - 1] = np.eye(TAGS, dtype=bool)[-1]
    enough = few.copy()
    enough[ENOUGH_LABELS - 1] = few[0]
    assert fit_calibration(facet, enough, scores).capped == ()
    assert fit_calibration(facet, ~few, scores).capped[-1] == facet.tag_names[-1]
    capped = fit_calibration(facet, few, scores).capped
    assert capped == (facet.tag_names[-1],)
    found = calibrated_probabilities(facet, scores, Calibration(capped=capped))
    assert found[:, -1] == pytest.approx(CAP)
    if exclusive:
        assert found.sum(axis=1) == pytest.approx(1)
        assert found[:, :-1] == pytest.approx((1 - CAP) / (TAGS - 1))


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
