import numpy as np
from helpers.tiny_model import make_reference

from tagger.model import ReviewRule, decide, novelty_reasons
from tagger.papers import Paper


def test_papers_that_the_model_cannot_know_go_to_review(taxonomy):
    reference = make_reference(np.zeros((100, 2), dtype=np.float32), taxonomy)
    papers = [
        Paper("A survey of courts", "We survey courts."),
        Paper("Slow bread", "Recipes for rye."),
        Paper("大型语言模型综述", "本文综述了大型语言模型的最新进展 (LLM)。"),
        Paper("2026", ""),
    ]
    reasons = novelty_reasons(papers, np.array([0.7, 0.2, 0.7, 0.7]), reference)
    assert [bool(reason) for reason in reasons] == [False, True, True, False]
    assert "0.20" in reasons[1]
    assert "script" in reasons[2]
    sure = {"kind": np.tile([0.98, 0.01, 0.01], (4, 1)), "field": np.zeros((4, 3))}
    tagged = decide(papers, sure, taxonomy, "tagger/1", ReviewRule(), reasons)
    assert [paper.review is None for paper in tagged] == [True, False, False, True]
    assert tagged[1].review.facets == ("kind", "field")
    assert tagged[1].review.reason == reasons[1]
    # About two in a hundred labelled papers are as novel.
    held_out = novelty_reasons([papers[0]] * 100, reference.similarity, reference)
    assert sum(map(bool, held_out)) == 2
    nothing = make_reference(np.zeros((0, 2), dtype=np.float32), taxonomy)
    assert novelty_reasons(papers, np.zeros(4), nothing) == [""] * 4
