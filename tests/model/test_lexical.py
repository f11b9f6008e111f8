import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from tagger.model import terms_of
from tagger.papers import Paper
from tagger.training.heads import fit_lexical, lexical_terms

PAPERS = [
    Paper("A Survey of Trees", "We survey trees, and we survey graphs."),
    Paper("Growing Trees", "We grow trees from graphs of 3 kinds."),
    Paper("Nothing in Common", "Else."),
    Paper("Trees", ""),
    Paper("", "ÜBER Bäume und 树木 und 树木, naïve İstanbul ﬁne"),
    Paper("Über Bäume", "树木 naïve İSTANBUL"),
]


def test_terms_are_words_and_pairs_with_title_and_own_work_marked():
    assert terms_of(Paper("Big Trees", "It rains. We grow.")) == [
        *["big", "trees", "it", "rains", "we", "grow"],
        *["big trees", "trees it", "it rains", "rains we", "we grow"],
        *["title:big", "title:trees", "title:big trees"],
        *["own:we", "own:grow", "own:we grow"],
    ]


LEXICAL = fit_lexical(PAPERS)
ODD_WORDS = st.sampled_from(["we", "We", "a", "grow", "trees", "title", "-", "title:trees"])
TEXTS = st.sampled_from([text for paper in PAPERS for text in (paper.title, paper.abstract)])
ODD_TEXTS = st.text(max_size=40) | st.lists(ODD_WORDS).map(" ".join) | TEXTS


def weights_of_scikit_learn(papers):
    """Two blocks of columns, with and without the sentence about the own work, each normalised."""
    found = np.zeros((len(papers), LEXICAL.size))
    own = LEXICAL.of_own_work
    for columns, length in ((own, 0.5), (~own, 1.0)):
        vocabulary = list(np.array(LEXICAL.vocabulary)[columns])
        vectorizer = TfidfVectorizer(analyzer=terms_of, sublinear_tf=True, vocabulary=vocabulary)
        vectorizer.idf_ = LEXICAL.idf[columns]
        found[:, columns] = length * vectorizer.transform(papers).toarray()
    return found


@given(st.lists(st.builds(Paper, ODD_TEXTS, ODD_TEXTS), max_size=4))
def test_weights_equal_those_of_scikit_learn(papers):
    expected = weights_of_scikit_learn(papers) if papers else np.zeros((0, LEXICAL.size))
    assert lexical_terms(LEXICAL, papers).toarray() == pytest.approx(expected)
    weights = np.random.default_rng(0).normal(size=(LEXICAL.size, 3))
    assert LEXICAL.transform(papers) @ weights == pytest.approx(expected @ weights)


def test_the_vocabulary_holds_what_two_papers_share_and_is_bounded(monkeypatch):
    assert {"trees", "title:trees", "we", "own:we", "树木"} <= set(LEXICAL.vocabulary)
    assert "survey" not in LEXICAL.vocabulary
    monkeypatch.setattr("tagger.training.heads.MAX_TERMS", 3)
    assert len(fit_lexical(PAPERS).vocabulary) == 3


def test_without_a_vocabulary_there_are_no_features():
    nothing = fit_lexical([Paper("Zebra", ""), Paper("", "-")])
    assert lexical_terms(nothing, PAPERS).shape == (len(PAPERS), 0)
    assert not (nothing.transform(PAPERS) @ np.ones((0, 1))).any()
