import numpy as np
from test_changes import apply

from tagger.taxonomy import merge_tags, rename_tag, retire_tag, translate_facet


def test_merged_exclusive_tags_add_probabilities(taxonomy):
    after = apply(taxonomy, rename_tag, "kind", "survey", "review")
    after = apply(after, merge_tags, "kind", ["study"], "review")
    found = translate_facet(after, "kind", ("survey", "method", "study"))
    assert found.facet.tag_names == ("review", "method")
    np.testing.assert_allclose(found.probabilities(np.array([[0.2, 0.3, 0.5]])), [[0.7, 0.3]])


def test_merged_non_exclusive_tags_take_the_maximum(taxonomy):
    after = apply(taxonomy, retire_tag, "field", "law", "heart")
    found = translate_facet(after, "field", ("health", "heart", "law"))
    np.testing.assert_allclose(found.probabilities(np.array([[0.4, 0.1, 0.8]])), [[0.8, 0.8]])


def test_unknown_tags_are_not_translated(taxonomy):
    after = apply(taxonomy, retire_tag, "kind", "survey")
    found = translate_facet(after, "kind", ("survey", "method", "study"))
    assert found.facet.tag_names == ("method", "study")
    assert found.becomes == ((), ("method",), ("study",))
    assert translate_facet(after, "kind", ("survey", "poem")) is None
    assert translate_facet(after, "kind", ("survey",)) is None
    assert translate_facet(after, "colour", ("red",)) is None
