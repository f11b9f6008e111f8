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
    rest = ids, tuple(names), folds, y_true, probabilities
    before = HeldOut(facet, *rest, samples=samples, capped=("health", "law"))
    columns = to_table(before)
    table = {"columns": list(columns), "data": [*zip(*columns.values(), strict=True)]}
    after = from_table(facet, json.loads(json.dumps(table)))
    again = after.take([after.ids.index(name) for name in before.ids])
    assert again.titles == before.titles
    assert (again.folds == before.folds).all()
    assert (again.samples == samples).all()
    assert again.capped == before.capped
    assert (again.y_true == before.y_true).all()
    assert np.abs(again.probabilities - before.probabilities).max() <= 1e-6
    assert sorted(after.right.tolist()) == after.right.tolist()


def test_a_table_without_capped_tags_has_them_from_its_labels(taxonomy):
    kinds = np.eye(3, dtype=bool)[[0] * 5 + [1] * 5 + [2] * 4]
    ids = tuple(f"p{n}" for n in range(14))
    columns = to_table(HeldOut(taxonomy.facet("kind"), ids, ids, np.ones(14), kinds, kinds * 0.9))
    del columns["capped"]
    table = {"columns": list(columns), "data": [*zip(*columns.values(), strict=True)]}
    assert from_table(taxonomy.facet("kind"), table).capped == ("study",)


@pytest.mark.parametrize("table", [{}, {"columns": ["id"], "data": [["a"]]}, {"columns": 3}, []])
def test_another_table_is_refused(taxonomy, table):
    with pytest.raises(TaggerError, match="facet 'kind' cannot be read"):
        from_table(taxonomy.facet("kind"), table)
