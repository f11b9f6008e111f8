import numpy as np
from helpers.samples import small_taxonomy

from tagger.labels import LabelStore
from tagger.taxonomy import Taxonomy
from tagger.training_data import TrainingData, fine_tuning_inputs


def test_papers_come_first_and_then_examples_each_judged_in_its_own_facet(label_folder):
    labels = LabelStore(label_folder).labels()
    content = small_taxonomy().model_dump()
    kind, field = content["facets"]
    kind["tags"][2]["examples"] = ["Does It Work?", "We Asked"]
    field["tags"][1]["examples"] = ["Heart Rates"]
    data = TrainingData.of(labels, Taxonomy.model_validate(content))
    rows = np.array([3, 1])
    texts, targets = fine_tuning_inputs(data, rows, title_views=True)
    papers = data.papers(rows)
    views = [paper.text for paper in papers] + [paper.title for paper in papers]
    assert texts == [*views, "Does It Work?", "We Asked", "Heart Rates"]
    for name, truth in data.truth.items():
        assert (targets[name].memberships[:4] == truth[[3, 1, 3, 1]]).all()
        assert targets[name].judged[:4].all()
    assert targets["kind"].judged[4:].tolist() == [True, True, False]
    assert targets["field"].judged[4:].tolist() == [False, False, True]
    assert targets["kind"].memberships[4:].tolist() == [[False, False, True]] * 2 + [[False] * 3]
    # What is about the heart is about health.
    assert targets["field"].memberships[4:].tolist() == [[False] * 3] * 2 + [[True, True, False]]
    # Without examples and titles there are the papers.
    data = TrainingData.of(labels, small_taxonomy())
    texts, targets = fine_tuning_inputs(data, rows, title_views=False)
    assert texts == data.texts(rows)
    assert targets["kind"].memberships.shape == (2, 3)
