import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tagger.errors import TaggerError
from tagger.evaluation import HeldOut
from tagger.registry.held_out_table import from_table, to_table

probabilities = arrays(np.float64, (4, 3), elements=st.floats(0, 1))
titles = st.lists(st.text(max_size=10), min_size=4, max_size=4)


@given(arrays(np.bool_, (4, 3)), probabilities, titles)
def test_predictions_survive_a_table(taxonomy, y_true, probabilities, names):
    facet = taxonomy.facet("field")
    folds = np.array([1, 2, 1, 2])
    samples = np.array(["seed", "audit", "reviewed", "selected"])
    ids = ("a", "b", "c", "d")
    before = HeldOut(facet, ids, tuple(names), folds, y_true, probabilities, samples=samples)
    columns = to_table(before)
    table = {"columns": list(columns), "data": [*zip(*columns.values(), strict=True)]}
    after = from_table(facet, json.loads(json.dumps(table)))
    again = after.take([after.ids.index(name) for name in before.ids])
    assert again.titles == before.titles
    assert (again.folds == before.folds).all()
    assert (again.samples == samples).all()
    assert (again.y_true == before.y_true).all()
    assert np.abs(again.probabilities - before.probabilities).max() <= 1e-6
    assert sorted(after.right.tolist()) == after.right.tolist()


@pytest.mark.parametrize("table", [{}, {"columns": ["id"], "data": [["a"]]}, {"columns": 3}, []])
def test_another_table_is_refused(taxonomy, table):
    with pytest.raises(TaggerError, match="facet 'kind' cannot be read"):
        from_table(taxonomy.facet("kind"), table)
