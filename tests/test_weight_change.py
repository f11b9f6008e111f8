import numpy as np
import pytest
import torch
from helpers.tiny_encoder import save_tiny_encoder
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.torch import load_file, save_file

from tagger.encoder import BUNDLED_ENCODER, load_trainable
from tagger.weight_change import WeightChange, change_of_weights, fingerprint, interpolated

CHANGES = arrays(
    np.float32,
    array_shapes(max_dims=3, max_side=5),
    elements=st.floats(-1e3, 1e3, width=32, allow_subnormal=False),
)


@given(CHANGES)
def test_rounding_costs_at_most_half_a_step(change):
    rounded = WeightChange.of("base", {"w": change}).arrays()
    if not change.any():
        assert rounded == {}
        return
    largest = np.abs(change).max(axis=-1, keepdims=True)
    assert rounded["w"].shape == change.shape
    assert (np.abs(rounded["w"] - change) <= largest / 127 * 0.501).all()


@given(CHANGES)
def test_a_change_survives_a_file(change):
    before = WeightChange.of("base", {"w": change, "x.y": np.arange(6.0).reshape(2, 3).T})
    parts = {f"other.{name}": part for name, part in before.parts().items()} | before.parts("own.")
    after = WeightChange.from_parts("base", parts, "own.")
    assert after.arrays().keys() == before.arrays().keys()
    for name, array in before.arrays().items():
        assert (after.arrays()[name] == array).all()


def test_interpolation_goes_from_one_to_the_other():
    def change(**weights):
        arrays = {name: np.array([[value, 127]]) for name, value in weights.items()}
        return WeightChange.of("base", arrays)

    one, other = change(both=1.0, one=2.0), change(both=5.0, other=4.0)
    for share, both, alone, new in [(0, 1, 2, 0), (0.25, 2, 1.5, 1), (1, 5, 0, 4)]:
        found = interpolated(one, other, share).arrays()
        zero = np.zeros((1, 2))
        assert found["both"][0, 0] == pytest.approx(both, abs=0.5)
        assert found.get("one", zero)[0, 0] == pytest.approx(alone, abs=0.5)
        assert found.get("other", zero)[0, 0] == pytest.approx(new, abs=0.5)
    with pytest.raises(AssertionError):
        interpolated(one, WeightChange("elsewhere", {}, {}), 0.5)


@pytest.mark.real_encoder
def test_a_change_leads_from_one_encoder_to_the_other():
    base, tuned, again = (load_trainable(BUNDLED_ENCODER, 32).eval() for _ in range(3))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "word_embeddings" not in name:
                weight += 0.02 * torch.randn_like(weight) * weight.abs().mean()
    change = change_of_weights(base, tuned)
    assert "0.embeddings.position_embeddings.weight" in change.steps
    assert "0.embeddings.word_embeddings.weight" not in change.steps
    assert change.base == fingerprint(base) == fingerprint(again) != fingerprint(tuned)
    # A byte a weight, the words' vectors left out.
    assert sum(part.nbytes for part in change.parts().values()) < 11_500_000
    change.add_to(again)
    text = "Reading fast, and what it costs"
    near = float(tuned.encode(text) @ again.encode(text))
    moved = float(tuned.encode(text) @ base.encode(text))
    assert near > 0.9999
    assert moved < near
    assert fingerprint(again) != fingerprint(base)


@pytest.mark.real_encoder
def test_an_encoder_that_comes_without_some_weights_is_the_same_at_each_load(tmp_path):
    folder = save_tiny_encoder(tmp_path)
    weights = load_file(folder / "model.safetensors")
    fewer = {name: w.bfloat16() for name, w in weights.items() if "pooler" not in name}
    assert 0 < len(fewer) < len(weights)
    save_file(fewer, folder / "model.safetensors", metadata={"format": "pt"})
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one, other = (load_trainable(str(folder), 32) for _ in range(2))
    assert fingerprint(one) == fingerprint(other)
    assert {weight.dtype for weight in one.parameters()} == {torch.float32}
    assert (torch.get_rng_state() == state).all()
    assert change_of_weights(one, other).steps == {}
