import numpy as np
from helpers.tiny_report import held_out

from tagger.evaluation import (
    LearningPoint,
    confusion_counts,
    confusion_matrix_figure,
    learning_curve_figure,
    reliability_figure,
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


def test_a_reliability_diagram_and_a_learning_curve_hold_the_figures(taxonomy):
    y_true = np.eye(3, dtype=bool)[[0, 1, 2, 0, 1]]
    data = held_out(taxonomy.facet("field"), y_true, y_true * 0.7 + 0.1)
    upper, lower = reliability_figure(data).axes
    assert "calibration error 0.200" in upper.get_title()
    assert sum(bar.get_height() for bar in lower.patches) == 5, "the tags given"
    (axes,) = learning_curve_figure([LearningPoint(n, {"field": data}) for n in (2, 4)]).axes
    curve = axes.containers[0].lines[0]
    assert (curve.get_xdata().tolist(), curve.get_ydata().tolist()) == ([2, 4], [1, 1])
