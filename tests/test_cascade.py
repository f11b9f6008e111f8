import numpy as np
import pytest

from tagger.cascade import USUAL_THRESHOLD, choose_threshold
from tagger.decision import paper_confidence
from tagger.evaluation import evaluate

PAPERS = 200


@pytest.fixture
def held_out(taxonomy):
    """Papers of which the whole tells all, and a short reading the more the surer it is."""
    rng = np.random.default_rng(0)
    truth, brief, full = {}, {}, {}
    wrong = np.arange(PAPERS) >= 100
    for facet in taxonomy.facets:
        size = len(facet.tags)
        given = np.eye(size, dtype=bool)[rng.integers(size, size=PAPERS)]
        truth[facet.name] = given
        full[facet.name] = np.where(given, 0.9, 0.1 / (size - 1))
        said = np.where(wrong[:, None], np.roll(given, 1, axis=1), given)
        high = np.where(wrong, 0.55, 0.8)[:, None]
        brief[facet.name] = np.where(said, high, (1 - high) / (size - 1))
    judged = {name: np.ones(PAPERS, dtype=bool) for name in truth}
    return truth, judged, brief, full


def test_what_is_sure_and_right_is_read_briefly(taxonomy, held_out):
    truth, judged, brief, full = held_out
    everything = np.ones(PAPERS, dtype=bool)
    threshold = choose_threshold(taxonomy, truth, judged, brief, full, everything)
    early = paper_confidence(taxonomy, brief) >= threshold
    assert 0.45 <= early.mean() <= 0.55
    for facet in taxonomy.facets:
        mixed = np.where(early[:, None], brief[facet.name], full[facet.name])
        assert evaluate(facet, truth[facet.name], mixed)["macro_f1"] >= 0.99


def test_all_is_read_briefly_where_any_loss_will_do(taxonomy, held_out):
    truth, judged, brief, full = held_out
    everything = np.ones(PAPERS, dtype=bool)
    threshold = choose_threshold(taxonomy, truth, judged, brief, full, everything, max_loss=1)
    assert (paper_confidence(taxonomy, brief) >= threshold).all()


def test_an_answer_likelier_wrong_than_right_is_never_sure(taxonomy, held_out):
    truth, judged, brief, full = held_out
    hesitant = np.array([0.4, 0.35, 0.25])
    brief["kind"][:20] = np.take_along_axis(
        np.tile(hesitant, (20, 1)), np.argsort(np.argsort(-brief["kind"][:20])), axis=1
    )
    everything = np.ones(PAPERS, dtype=bool)
    threshold = choose_threshold(taxonomy, truth, judged, brief, full, everything, max_loss=1)
    sure = paper_confidence(taxonomy, brief) >= threshold
    assert not sure[:20].any()
    assert sure[20:].all()


def test_nothing_is_read_briefly_where_that_is_always_wrong(taxonomy, held_out):
    truth, judged, brief, full = held_out
    brief = {name: np.roll(full[name], 1, axis=1) * 0.9 for name in full}
    everything = np.ones(PAPERS, dtype=bool)
    threshold = choose_threshold(taxonomy, truth, judged, brief, full, everything)
    assert not (paper_confidence(taxonomy, brief) >= threshold).any()


def test_papers_that_are_short_anyway_decide_nothing(taxonomy, held_out):
    few = np.arange(PAPERS) < 49
    assert choose_threshold(taxonomy, *held_out, few) == USUAL_THRESHOLD


def test_only_judged_papers_count(taxonomy, held_out):
    truth, judged, brief, full = held_out
    everything = np.ones(PAPERS, dtype=bool)
    judged = {name: np.arange(PAPERS) < 100 for name in judged}
    threshold = choose_threshold(taxonomy, truth, judged, brief, full, everything)
    assert (paper_confidence(taxonomy, brief) >= threshold).all()
