import json
from dataclasses import asdict

import numpy as np
import pytest
from helpers.tiny_model import make_reference
from safetensors.numpy import load_file, save_file

from tagger.errors import TaggerError
from tagger.model import Reference, similarity
from tagger.papers import EFFORTS

SIZE = 4


@pytest.fixture
def drawn(taxonomy):
    """Make up a reference of a number of papers whose arrays differ."""

    def draw(papers):
        rng = np.random.default_rng(0)
        made = make_reference(rng.normal(size=(papers, SIZE)).astype(np.float32), taxonomy)
        for facet in taxonomy.facets:
            made.y_true[facet.name][:] = rng.random((papers, len(facet.tags))) < 0.5
            made.annotated[facet.name][:] = rng.random(papers) < 0.5
            for found in made.out_of_fold.values():
                found.probabilities[facet.name][:] = rng.random((papers, len(facet.tags)))
        return made

    return draw


def load(path, taxonomy):
    return Reference.load(path, taxonomy, list(EFFORTS), SIZE)


def test_a_reference_survives_being_saved(drawn, taxonomy, tmp_path):
    before = drawn(5)
    before.save(tmp_path / "reference")
    np.testing.assert_equal(asdict(load(tmp_path / "reference", taxonomy)), asdict(before))
    written = set()
    for _ in range(9):
        before.save(tmp_path / "again")
        written.add((tmp_path / "again").read_bytes())
    assert written == {(tmp_path / "reference").read_bytes()}


def test_of_many_papers_a_part_is_kept(drawn):
    big = drawn(5001).sample()
    assert len(big.ids) == len(big.vectors) == len(big.annotated["kind"]) == 2000
    assert len(big.out_of_fold["low"].similarity) == 2000
    assert big.titles[-1] == "Title 5000"
    np.testing.assert_equal(asdict(drawn(7).sample()), asdict(drawn(7)))


def drop(name):
    return lambda arrays, header: arrays.pop(name)


def put(name, values):
    return lambda arrays, header: arrays.update({name: values})


def head(**fields):
    return lambda arrays, header: header.update(fields)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (drop("vectors"), "lacks the array 'vectors'"),
        (drop("low.similarity"), "lacks the array 'low.similarity'"),
        (put("full.similarity", np.zeros(())), "'full.similarity' does not fit"),
        (put("annotated.kind", np.ones(2, dtype=bool)), "does not fit"),
        (put("y_true.kind", np.ones((5, 9), dtype=bool)), "'y_true.kind' does not fit"),
        (put("vectors", np.zeros((5, 9), dtype=np.float32)), "'vectors' does not fit"),
        (head(ids="[1, 2"), "lacks ids and titles"),
        (head(audit="[1, 2"), "lacks ids and titles"),
        (head(ids=json.dumps(["a"])), "do not fit"),
        (head(titles=json.dumps([1, 2, 3, 4, 5])), "do not fit"),
    ],
)
def test_arrays_and_headers_that_do_not_fit_are_refused(drawn, taxonomy, tmp_path, spoil, reason):
    path, reference = tmp_path / "reference", drawn(5)
    reference.save(path)
    arrays = load_file(path)
    header = {"ids": json.dumps(reference.ids), "titles": json.dumps(reference.titles)}
    header["audit"] = "[]"
    spoil(arrays, header)
    save_file(arrays, path, metadata=header)
    with pytest.raises(TaggerError, match=reason) as caught:
        load(path, taxonomy)
    assert caught.value.path == str(path)


def test_familiarity_is_the_cosine_of_the_nearest_found_part_by_part(monkeypatch):
    rng = np.random.default_rng(0)
    vectors, known = (rng.normal(size=(n, 4)).astype(np.float32) for n in (23, 7))
    for at_once in (2**24, 21):
        monkeypatch.setattr("tagger.model.training_reference._COSINES_AT_ONCE", at_once)
        assert np.allclose(similarity(vectors, known), (vectors @ known.T).max(axis=1))
    assert similarity(vectors[:0], known).shape == (0,)
    assert (similarity(vectors, known[:0]) == -1).all()
