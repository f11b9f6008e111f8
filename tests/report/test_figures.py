from dataclasses import replace

import numpy as np
import pytest
from helpers.tiny_report import held_out

from tagger.evaluation import share
from tagger.report.figures import ConfidenceBin, facet_figures, right_if_not_marked


def test_figures_of_an_exclusive_facet_are_as_counted_by_hand(taxonomy):
    y_true = [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    probabilities = [[0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.84, 0.06], [0, 0.05, 0.95]]
    found = facet_figures(held_out(taxonomy.facets[0], y_true, probabilities), "seed")
    assert found.figures["accuracy"].value == 0.75
    # F1 of survey 2/3, of method 2/3, of study 1.
    assert found.figures["macro_f1"].value == pytest.approx(7 / 9)
    assert [(tag.tag, tag.labels, round(tag.f1.value, 2)) for tag in found.tags] == [
        ("survey", 2, 0.67),
        ("method", 1, 0.67),
        ("study", 1, 1.0),
    ]
    low, high = found.figures["accuracy"].interval
    assert low < 0.75 < high
    assert found.confusion_names == ("survey", "method", "study")
    assert found.confusion == ((1, 1, 0), (0, 1, 0), (0, 0, 1))
    assert found.reliability == (
        ConfidenceBin(2, pytest.approx(0.82), share(1, 2)),
        ConfidenceBin(2, pytest.approx(0.925), share(2, 2)),
    )


def test_a_facet_that_is_not_exclusive_has_a_row_for_none(taxonomy):
    found = facet_figures(
        held_out(taxonomy.facets[1], [[0, 0, 0], [0, 0, 1]], [[0.0, 0.1, 0.7]] * 2), "seed"
    )
    assert found.confusion_names[-1] == "none"
    assert found.confusion[-1] == (0, 0, 1, 0)
    assert sum(one.count for one in found.reliability) == 2, "the tags given"


def test_papers_that_are_not_marked_are_measured_on_the_audit_sample(taxonomy):
    # The third kind is in doubt, the fourth is sure and wrong, the last paper was not audited.
    kinds = [[0.9, 0.1, 0], [0, 0.9, 0.1], [0.5, 0.5, 0], [0.1, 0.9, 0], [0.9, 0.1, 0]]
    kind = held_out(taxonomy.facets[0], np.eye(3)[[0, 1, 0, 0, 1]], kinds)
    field = held_out(taxonomy.facets[1], [[0, 0, 1]] * 5, [[0, 0, 0.9]] * 5)
    samples = np.array(["audit"] * 4 + ["seed"])
    tables = [replace(table, samples=samples) for table in (kind, field)]
    assert right_if_not_marked(tables) == (3, share(2, 3))
    # Wrong in one facet is wrong.
    tables[1] = replace(tables[1], y_true=np.eye(3, dtype=bool)[[0, 2, 2, 2, 2]])
    assert right_if_not_marked(tables) == (3, share(1, 3))
    # A paper with a tag of too few labels is always marked.
    tables[0] = replace(tables[0], capped=("method",))
    assert right_if_not_marked(tables) == (1, share(0, 1))
    assert right_if_not_marked([kind, field]) is None
    assert right_if_not_marked([]) is None
