import numpy as np
import pytest
from helpers.samples import small_taxonomy

from tagger.labels import Label, LabelStore
from tagger.taxonomy import Taxonomy
from tagger.training_data import TrainingData, fine_tuning_inputs


@pytest.fixture
def labels(label_folder) -> list[Label]:
    return LabelStore(label_folder).labels()


def with_examples() -> Taxonomy:
    content = small_taxonomy().model_dump()
    kind, field = content["facets"]
    kind["tags"][2]["examples"] = ["Does It Work?", "We Asked"]
    field["tags"][1]["examples"] = ["Heart Rates"]
    return Taxonomy.model_validate(content)


def test_papers_come_first_and_then_examples_each_judged_in_its_own_facet(labels):
    data = TrainingData.of(labels, with_examples())
    rows = np.array([3, 1])
    texts, targets = fine_tuning_inputs(data, rows, title_views=True)
    papers = data.papers(rows)
    assert texts == [
        *(paper.text for paper in papers),
        *(paper.title for paper in papers),
        "Does It Work?",
        "We Asked",
        "Heart Rates",
    ]
    for name, truth in data.truth.items():
        assert (targets[name].memberships[:4] == truth[[3, 1, 3, 1]]).all()
        assert targets[name].judged[:4].all()
    assert targets["kind"].judged[4:].tolist() == [True, True, False]
    assert targets["field"].judged[4:].tolist() == [False, False, True]
    assert targets["kind"].memberships[4:].tolist() == [[False, False, True]] * 2 + [[False] * 3]
    # What is about the heart is about health.
    assert targets["field"].memberships[4:].tolist() == [[False] * 3] * 2 + [[True, True, False]]


def test_without_examples_and_titles_there_are_the_papers(labels):
    data = TrainingData.of(labels, small_taxonomy())
    texts, targets = fine_tuning_inputs(data, np.arange(3), title_views=False)
    assert texts == data.texts(np.arange(3))
    assert targets["kind"].memberships.shape == (3, 3)
