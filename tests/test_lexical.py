from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from tagger.lexical import LexicalFeatures, fit_lexical_features, terms_of
from tagger.paper import Paper

PAPERS = [
    Paper("A Survey of Trees", "We survey trees, and we survey graphs."),
    Paper("Growing Trees", "We grow trees from graphs of 3 kinds."),
    Paper("Nothing in Common", "Else."),
    Paper("Trees", ""),
]


def test_terms_are_words_and_pairs_with_the_title_marked():
    assert terms_of(Paper("Big Trees", "We grow.")) == [
        *["big", "trees", "we", "grow", "big trees", "trees we", "we grow"],
        *["title:big", "title:trees", "title:big trees"],
    ]


def test_features_equal_those_of_scikit_learn():
    features = fit_lexical_features(PAPERS)
    reference = TfidfVectorizer(analyzer=terms_of, sublinear_tf=True, min_df=2)
    expected = reference.fit_transform(PAPERS).toarray()
    assert features.vocabulary == tuple(reference.get_feature_names_out())
    assert features.transform(PAPERS) == pytest.approx(expected)


def test_papers_without_a_known_term_have_no_features():
    features = fit_lexical_features(PAPERS)
    assert not features.transform([Paper("Zebra", "")]).any()
    assert features.transform([]).shape == (0, len(features.vocabulary))
    assert np.isfinite(features.rarity).all()


TEXT = st.lists(st.sampled_from(["we", "We", "a", "grow", "trees", "title", "-", "trees:"])).map(
    " ".join
)
TERM = st.sampled_from(
    ["we", "grow", "trees", "we grow", "grow trees", "title:trees", "title:we grow", "trees we"]
)


@given(
    st.lists(st.builds(Paper, TEXT, TEXT), max_size=4),
    st.lists(TERM, unique=True).map(tuple),
)
def test_features_are_what_counting_the_terms_gives(papers, vocabulary):
    rarity = np.linspace(1, 2, len(vocabulary))
    found = LexicalFeatures(vocabulary, rarity).transform(papers)
    assert found.shape == (len(papers), len(vocabulary))
    for row, paper in zip(found, papers, strict=True):
        counts = Counter(terms_of(paper))
        weights = [
            rare * (1 + np.log(counts[term])) if counts[term] else 0
            for rare, term in zip(rarity, vocabulary, strict=True)
        ]
        assert row == pytest.approx(np.array(weights) / (np.linalg.norm(weights) or 1))
        (alone,) = LexicalFeatures(vocabulary, rarity).transform([paper])
        assert (alone == row).all()
