from datetime import UTC, datetime

import numpy as np
import pytest
from helpers.samples import write_taxonomy

from tagger.taxonomy_changes import MergeTags, RenameTag, RetireTag
from tagger.taxonomy_history import open_history, record_change
from tagger.taxonomy_translation import translate_facet


@pytest.fixture
def change(tmp_path, taxonomy):
    write_taxonomy(tmp_path, taxonomy)

    def make(*steps):
        for step in steps:
            now = open_history(tmp_path).taxonomy
            record_change(tmp_path, now, step, "ann", None, datetime.now(UTC))
        return open_history(tmp_path)

    return make


def test_one_of_several_tags_has_the_sum_of_what_it_was_made_of(change):
    history = change(
        RenameTag(facet="kind", tag="survey", into="review"),
        MergeTags(facet="kind", tags=("study",), into="review"),
    )
    found = translate_facet(history, 0, "kind", ("survey", "method", "study"))
    assert found.facet.tag_names == ("review", "method")
    chances = found.probabilities(np.array([[0.2, 0.3, 0.5]]))
    np.testing.assert_allclose(chances, [[0.7, 0.3]])


def test_tags_that_may_apply_together_are_as_likely_as_the_likeliest(change):
    history = change(RetireTag(facet="field", tag="law", into="heart"))
    found = translate_facet(history, 0, "field", ("health", "heart", "law"))
    chances = found.probabilities(np.array([[0.4, 0.1, 0.8]]))
    np.testing.assert_allclose(chances, [[0.8, 0.8]])


def test_what_cannot_be_told_is_not_translated(change):
    history = change(RetireTag(facet="kind", tag="survey"))
    found = translate_facet(history, 0, "kind", ("survey", "method", "study"))
    assert found.facet.tag_names == ("method", "study")
    assert found.becomes == ((), ("method",), ("study",))
    assert translate_facet(history, 0, "kind", ("survey", "poem")) is None
    assert translate_facet(history, 1, "kind", ("survey",)) is None
    assert translate_facet(history, 0, "colour", ("red",)) is None
