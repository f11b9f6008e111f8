import numpy as np
import pytest
from helpers.tiny_model import make_reference
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tagger.errors import TaggerError
from tagger.reference import Reference, familiarity


def reference(papers):
    rng = np.random.default_rng(0)
    return Reference(
        tuple(f"id {n}" for n in range(papers)),
        tuple(f"Über {n}" for n in range(papers)),
        rng.normal(size=(papers, 4)).astype(np.float32),
        rng.random(papers),
        {"kind": rng.random((papers, 3))},
        {"kind": rng.random((papers, 3)) < 0.5},
        {"kind": rng.random(papers) < 0.5},
    )


def same(one, other):
    arrays = ("vectors", "familiarity")
    facets = ("probabilities", "truth", "judged")
    return (
        (one.ids, one.titles) == (other.ids, other.titles)
        and all((getattr(one, key) == getattr(other, key)).all() for key in arrays)
        and all((getattr(one, key)["kind"] == getattr(other, key)["kind"]).all() for key in facets)
    )


def test_familiarity_is_the_cosine_of_the_nearest():
    known = np.array([[1, 0], [0, 1]], dtype=np.float32)
    vectors = np.array([[0.6, 0.8], [-1, 0]], dtype=np.float32)
    assert familiarity(vectors, known) == pytest.approx([0.8, 0])
    assert familiarity(vectors, known[:0]).tolist() == [-1, -1]


def test_a_reference_survives_being_saved(tmp_path):
    before = reference(5)
    before.save(tmp_path / "reference")
    assert same(Reference.load(tmp_path / "reference"), before)


def test_of_many_papers_a_part_is_kept():
    big = reference(5001).sample()
    assert len(big.ids) == len(big.vectors) == len(big.judged["kind"]) == 2000
    assert big.titles[-1] == "Über 5000"
    assert same(reference(7).sample(), reference(7))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ({"vectors": None}, "cannot be read"),
        ({"familiarity": np.zeros(2)}, "do not fit one another"),
        ({"familiarity": np.zeros(())}, "do not fit one another"),
        ({"judged.kind": np.ones(2, dtype=bool)}, "do not fit one another"),
        ({}, None),
    ],
)
def test_arrays_that_do_not_fit_are_refused(spoil, reason, tmp_path):
    path = tmp_path / "reference"
    reference(5).save(path)
    with safe_open(path, framework="numpy") as file:
        header = file.metadata()
    arrays = {**load_file(path), **spoil}
    kept = {name: values for name, values in arrays.items() if values is not None}
    save_file(kept, path, metadata=header)
    if reason is None:
        assert same(Reference.load(path), reference(5))
    else:
        with pytest.raises(TaggerError, match=reason):
            Reference.load(path)


@pytest.mark.parametrize("kind", ["probabilities", "truth", "judged"])
def test_a_reference_of_another_taxonomy_does_not_fit(taxonomy, kind):
    fitting = make_reference(np.zeros((3, 2), dtype=np.float32), taxonomy)
    efforts = ("balanced", "low")
    assert fitting.fits(taxonomy, efforts)
    assert not fitting.fits(taxonomy)
    del getattr(fitting, kind)["field"]
    assert not fitting.fits(taxonomy, efforts)
    assert not reference(3).fits(taxonomy)


def test_what_efforts_would_have_said_is_saved_and_sampled(tmp_path, taxonomy):
    before = make_reference(np.zeros((5, 2), dtype=np.float32), taxonomy)
    before.sample().save(tmp_path / "reference")
    low = Reference.load(tmp_path / "reference").at_effort("low")
    assert low.familiarity == pytest.approx(before.efforts["low"].familiarity)
    assert low.probabilities["kind"].shape == (5, 3)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "reference"
    path.write_bytes(b"no safetensors")
    with pytest.raises(TaggerError, match="cannot be read"):
        Reference.load(path)
    save_file({"vectors": np.zeros((2, 2))}, path)
    with pytest.raises(TaggerError, match="cannot be read"):
        Reference.load(path)


def test_the_nearest_of_many_is_found_part_by_part(monkeypatch):
    rng = np.random.default_rng(0)
    vectors, known = (rng.normal(size=(n, 4)).astype(np.float32) for n in (23, 7))
    whole = familiarity(vectors, known)
    assert np.allclose(whole, (vectors @ known.T).max(axis=1))
    monkeypatch.setattr("tagger.reference._COSINES_AT_ONCE", 21)
    assert np.allclose(familiarity(vectors, known), whole)
    assert familiarity(vectors[:0], known).shape == (0,)
    assert (familiarity(vectors, known[:0]) == -1).all()
