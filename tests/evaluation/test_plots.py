import numpy as np
from helpers.tiny_report import held_out

from tagger.evaluation import (
    confusion_counts,
    confusion_matrix_figure,
)


def test_confusions_are_counted_by_true_and_predicted_tag(taxonomy):
    y_true = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]])
    given_tags = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=float)
    data = held_out(taxonomy.facet("field"), y_true, given_tags)
    counts = confusion_counts(data)
    assert counts[[0, 2, 3, 3], [0, 1, 2, 3]].tolist() == [1, 1, 1, 1]
    assert counts.sum() == 4
    labels = confusion_matrix_figure(data).axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == ["health", "heart", "law", "none"]
