import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from tagger.lexical import fit_lexical_features, terms_of
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
