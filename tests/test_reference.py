import numpy as np
import pytest

from tagger.reference import Reference, familiarity


def reference(papers):
    rng = np.random.default_rng(0)
    return Reference(
        rng.normal(size=(papers, 4)).astype(np.float32),
        rng.random(papers),
        {"kind": rng.random((papers, 3))},
    )


def test_familiarity_is_the_cosine_of_the_nearest():
    known = np.array([[1, 0], [0, 1]], dtype=np.float32)
    vectors = np.array([[0.6, 0.8], [-1, 0]], dtype=np.float32)
    assert familiarity(vectors, known) == pytest.approx([0.8, 0])
    assert familiarity(vectors, known[:0]).tolist() == [-1, -1]


def test_a_reference_survives_being_arrays():
    before = reference(5)
    after = Reference.from_arrays(before.as_arrays())
    assert (after.vectors == before.vectors).all()
    assert (after.familiarity == before.familiarity).all()
    assert (after.probabilities["kind"] == before.probabilities["kind"]).all()


def test_of_many_papers_a_part_is_kept():
    big = reference(5001).sample()
    assert len(big.vectors) == len(big.familiarity) == len(big.probabilities["kind"]) == 2000
    small = reference(7)
    assert (small.sample().vectors == small.vectors).all()


@pytest.mark.parametrize("spoil", [{"vectors": None}, {"familiarity": np.zeros(2)}])
def test_arrays_that_do_not_fit_are_refused(spoil):
    arrays = {**reference(5).as_arrays(), **spoil}
    arrays = {name: values for name, values in arrays.items() if values is not None}
    with pytest.raises(ValueError, match="array"):
        Reference.from_arrays(arrays)
