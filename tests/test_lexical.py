import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.model import LexicalFeatures, terms_of
from tagger.papers import Paper
from tagger.training.heads import fit_vectorizer

PAPERS = [
    Paper("A Survey of Trees", "We survey trees, and we survey graphs."),
    Paper("Growing Trees", "We grow trees from graphs of 3 kinds."),
    Paper("Nothing in Common", "Else."),
    Paper("Trees", ""),
    Paper("", "ÜBER Bäume und 树木 und 树木, naïve İstanbul ﬁne"),
    Paper("Über Bäume", "树木 naïve İSTANBUL"),
]


def test_terms_are_words_and_pairs_with_the_title_marked():
    assert terms_of(Paper("Big Trees", "We grow.")) == [
        *["big", "trees", "we", "grow", "big trees", "trees we", "we grow"],
        *["title:big", "title:trees", "title:big trees"],
    ]


def features_of(vectorizer):
    return LexicalFeatures(tuple(vectorizer.get_feature_names_out()), vectorizer.idf_)


VECTORIZER = fit_vectorizer(PAPERS)
ODD_WORDS = st.sampled_from(["we", "We", "a", "grow", "trees", "title", "-", "title:trees"])
TEXTS = st.sampled_from([text for paper in PAPERS for text in (paper.title, paper.abstract)])
ODD_TEXTS = st.text(max_size=40) | st.lists(ODD_WORDS).map(" ".join) | TEXTS


@given(st.lists(st.builds(Paper, ODD_TEXTS, ODD_TEXTS), max_size=4))
def test_scores_equal_those_of_scikit_learn(papers):
    weights = np.random.default_rng(0).normal(size=(len(VECTORIZER.vocabulary_), 3))
    found = features_of(VECTORIZER).transform(papers) @ weights
    assert found.shape == (len(papers), 3)
    if papers:
        assert found == pytest.approx(VECTORIZER.transform(papers) @ weights)


def test_the_vocabulary_holds_what_two_papers_share_and_is_bounded(monkeypatch):
    assert {"trees", "title:trees", "we", "树木"} <= set(VECTORIZER.vocabulary_)
    assert "survey" not in VECTORIZER.vocabulary_
    monkeypatch.setattr("tagger.training.heads.MAX_TERMS", 3)
    assert len(fit_vectorizer(PAPERS).vocabulary_) == 3


def test_without_a_vocabulary_there_are_no_features():
    nothing = fit_vectorizer([Paper("Zebra", ""), Paper("", "-")])
    assert not nothing.transform(PAPERS).nnz
    assert not (features_of(nothing).transform(PAPERS) @ np.ones((1, 1))).any()
