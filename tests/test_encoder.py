import numpy as np
import pytest
from samples import ABSTRACT

from tagger.encoder import BUNDLED_ENCODER, OnnxEncoder, load_trainable
from tagger.onnx_export import LEAST_COSINE, export_onnx

TEXTS = [
    "A short title.",
    "Judging contracts by their clauses. " + ABSTRACT,
    "Zwölf Sprachen, eine Grammatik: 你好",
    ABSTRACT * 9,
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    model = load_trainable(BUNDLED_ENCODER, 64)
    export_onnx(model, folder, TEXTS)
    vectors = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    return folder, vectors


@pytest.mark.slow
def test_the_exported_encoder_is_small_and_says_the_same(exported):
    folder, vectors = exported
    found = OnnxEncoder(folder, 64).encode(TEXTS)
    assert ((found * vectors).sum(axis=1) > LEAST_COSINE).all()
    assert (folder / "encoder.onnx").stat().st_size < 25e6


@pytest.mark.slow
def test_a_vector_does_not_hang_on_other_texts(exported):
    encoder = OnnxEncoder(exported[0], 64)
    together = encoder.encode(TEXTS * 20)
    for number, text in enumerate(TEXTS):
        (alone,) = encoder.encode([text])
        assert (together[number :: len(TEXTS)] == alone).all()


@pytest.mark.slow
def test_an_encoder_that_eight_bits_would_spoil_keeps_32(exported, tmp_path, monkeypatch):
    monkeypatch.setattr("tagger.onnx_export.LEAST_COSINE", 0.9999)
    model = load_trainable(BUNDLED_ENCODER, 64)
    export_onnx(model, tmp_path, TEXTS)
    found = OnnxEncoder(tmp_path, 64).encode(TEXTS)
    assert np.allclose(found, exported[1], atol=1e-4)
