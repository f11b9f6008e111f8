import numpy as np
import pytest

from tagger.head_training import cross_calibrate, fit_calibration, fit_head
from tagger.heads import Calibration, probabilities
from tagger.taxonomy import Facet


def test_calibration_finds_the_scales_that_were_lost(taxonomy):
    rng = np.random.default_rng(0)
    facet = taxonomy.facet("kind")
    logits = rng.normal(size=(4000, 3)) * 2
    scores = np.stack([logits, rng.normal(size=logits.shape)])
    chances = probabilities(facet, scores, Calibration((0.5, 1.5)))
    truth = np.eye(3, dtype=bool)[[rng.choice(3, p=row) for row in chances]]
    fitted = fit_calibration(facet, truth, scores)
    assert fitted.scales == pytest.approx((0.5, 1.5), abs=0.1)
    assert fitted.shift == 0
    field = replace_exclusive(taxonomy)
    chances = probabilities(field, scores, Calibration((2.0, 0.5), -1.0))
    fitted = fit_calibration(field, rng.random(chances.shape) < chances, scores)
    assert (*fitted.scales, fitted.shift) == pytest.approx((2.0, 0.5, -1.0), abs=0.15)


@pytest.mark.parametrize("name", ["kind", "field"])
def test_few_labels_leave_a_calibration_as_it_usually_is(taxonomy, name):
    rng = np.random.default_rng(0)
    facet = taxonomy.facet(name)
    usual = fit_calibration(facet, np.zeros((0, 3), dtype=bool), np.zeros((2, 0, 3)))
    assert usual.scales[0] > usual.scales[1] > 0
    scores = rng.normal(size=(2, 2000, 3))
    chances = probabilities(facet, scores, Calibration((0.3, 3.0)))
    truth = rng.random(chances.shape) < chances
    if facet.exclusive:
        truth = np.eye(3, dtype=bool)[[rng.choice(3, p=row) for row in chances]]

    def ratio(papers):
        scales = fit_calibration(facet, truth[:papers], scores[:, :papers]).scales
        return scales[0] / scales[1]

    assert usual.scales[0] / usual.scales[1] > ratio(10) > ratio(100) > ratio(2000)


def test_a_head_learns_from_all_views_of_a_paper(taxonomy):
    facet = taxonomy.facet("kind")
    truth = np.eye(3, dtype=bool)
    vectors, titles = np.eye(6, dtype=np.float32)[:3], np.eye(6, dtype=np.float32)[3:]
    terms = np.zeros((3, 0))
    alone = fit_head(facet, vectors, terms, truth).encoder.scores(titles)
    both = fit_head(facet, np.concatenate([vectors, titles]), terms, truth).encoder.scores(titles)
    assert np.ptp(alone, axis=1) == pytest.approx(0, abs=1e-6)
    assert both.argmax(axis=1).tolist() == [0, 1, 2]


def test_a_definition_is_an_example_of_its_tag_and_of_those_above(taxonomy):
    facet = taxonomy.facet("field")
    vectors = np.eye(8, dtype=np.float32)[:4]
    truth = np.array([[True, True, False], [True, True, False], [False, False, True], [False] * 3])
    definitions = np.eye(8, dtype=np.float32)[5:]
    head = fit_head(facet, vectors, np.zeros((4, 0)), truth, definitions)
    health, heart, law = head.encoder.scores(definitions[1:2])[0]
    assert health > 0
    assert heart > 0 > law
    assert (head.encoder.scores(definitions[2:])[0] > 0).tolist() == [False, False, True]


def test_examples_of_tags_that_have_labels_are_learned_from(taxonomy):
    content = taxonomy.facet("field").model_dump()
    content["tags"][1]["examples"] = ["A Heart", "Of Hearts"]
    facet = Facet.model_validate(content)
    axes = np.eye(10, dtype=np.float32)
    truth = np.array([[True, True, False], [True, False, False], [False] * 3, [False] * 3])
    head = fit_head(facet, axes[:4], np.zeros((4, 0)), truth, axes[5:])
    # Rows 8 and 9 are the examples: of the heart, and so of health.
    assert (head.encoder.scores(axes[8:])[:, :2] > 0).all()
    # Nobody gave the tag "law", so its definition is no example.
    assert (head.encoder.weights[:, 7] == 0).all()


def test_a_tag_that_every_paper_has_is_given(taxonomy):
    facet = replace_exclusive(taxonomy)
    truth = np.tile([True, False, False], (20, 1))
    vectors = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    head = fit_head(facet, vectors, np.zeros((20, 0)), truth)
    always, never, _ = head.predict_proba(vectors, np.zeros((20, 0)))[0]
    assert always > 0.9
    assert never < 0.1
    nobody = fit_head(facet, vectors[:0], np.zeros((0, 0)), truth[:0])
    assert (nobody.predict_proba(vectors, np.zeros((20, 0))) < 0.5).all()


def replace_exclusive(taxonomy):
    return taxonomy.facet("kind").model_copy(update={"exclusive": False})


def test_parts_are_calibrated_by_the_others(taxonomy):
    rng = np.random.default_rng(0)
    facet = taxonomy.facet("kind")
    scores = rng.normal(size=(2, 60, 3))
    truth = np.eye(3, dtype=bool)[rng.integers(0, 3, 60)]
    parts = [np.arange(0, 60, 2), np.arange(1, 60, 2)]
    chances = cross_calibrate(facet, truth, scores, parts)
    by_others = fit_calibration(facet, truth[parts[1]], scores[:, parts[1]])
    assert (chances[parts[0]] == probabilities(facet, scores[:, parts[0]], by_others)).all()
    # What a part itself says does not count for it.
    truth[parts[0]] = np.roll(truth[parts[0]], 1, axis=1)
    again = cross_calibrate(facet, truth, scores, parts)
    assert (again[parts[0]] == chances[parts[0]]).all()
