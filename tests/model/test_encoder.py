import errno

import numpy as np
import onnx
import pytest
import torch
from helpers.samples import ABSTRACT
from helpers.tiny_encoder import save_tiny_encoder
from helpers.tiny_model import save_word_encoder
from onnx import numpy_helper

from tagger.errors import TaggerError
from tagger.model import OnnxEncoder, choose_device
from tagger.training import BUNDLED_ENCODER, load_trainable
from tagger.training.onnx_export import LEAST_COSINE, export_onnx

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


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A folder with a transformer of a few kilobytes that has learned nothing."""
    return save_tiny_encoder(tmp_path_factory.mktemp("untrained")).parent / "transformer"


@pytest.mark.real_encoder
def test_the_exported_encoder_is_small_and_gives_the_same_vectors_on_any_processor(exported):
    folder, vectors = exported
    found = OnnxEncoder(folder, 64).encode(TEXTS)
    assert ((found * vectors).sum(axis=1) > LEAST_COSINE).all()
    assert (folder / "encoder.onnx").stat().st_size < 25e6
    graph = onnx.load(folder / "encoder.onnx").graph
    # Processors without VNNI add two products with bytes up in 16 bits, and cut the rest off.
    weights = [numpy_helper.to_array(value) for value in graph.initializer]
    matrices = [each.astype(int) for each in weights if each.dtype == np.int8 and each.size > 1]
    assert len(matrices) >= 24
    assert all(2 * 255 * np.abs(matrix).max() < 2**15 for matrix in matrices)
    # Numbers are rounded by the same scale for all texts.
    made = {name for node in graph.node for name in node.output}
    rounded = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    assert len(rounded) == 24
    assert not made & {name for node in rounded for name in node.input[1:]}
    assert not [node for node in graph.node if node.op_type == "DynamicQuantizeLinear"]


@pytest.mark.real_encoder
def test_a_vector_does_not_hang_on_other_texts(exported, monkeypatch):
    encoder = OnnxEncoder(exported[0], 64)
    monkeypatch.setattr("tagger.model.encoder._WINDOW", 50)
    seen = []
    together = encoder.encode(TEXTS * 20, lambda *step: seen.append(step))
    assert seen[-1] == (80, 80)
    assert seen == sorted(seen)
    assert len(seen) < 40
    for number, text in enumerate(TEXTS):
        (alone,) = encoder.encode([text])
        assert (together[number :: len(TEXTS)] == alone).all()


@pytest.fixture
def float32(tmp_path):
    """An exported encoder of a few words that a GPU can read."""
    save_word_encoder(tmp_path, np.random.default_rng(0))
    (tmp_path / "encoder.onnx").rename(tmp_path / "encoder.float32.onnx")
    return tmp_path


def test_a_gpu_reads_the_float32_encoder_in_large_batches(float32, monkeypatch):
    monkeypatch.setattr("tagger.model.encoder._CUDA", "CPUExecutionProvider")
    encoder = OnnxEncoder(float32, 64, device="cuda")
    texts = ["heart court", "survey", "judge drug", "trial"]
    seen = []
    many = encoder.encode(texts * 70, lambda *step: seen.append(step))
    assert np.allclose(many[-4:], encoder.encode(texts), atol=1e-5)
    assert seen == [(140, 280), (280, 280)]
    (float32 / "encoder.float32.onnx").unlink()
    with pytest.raises(TaggerError, match="which a GPU needs"):
        OnnxEncoder(float32, 64, device="cuda")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_gpu_that_is_not_there_or_cannot_be_used_is_said(float32, monkeypatch):
    monkeypatch.setattr("tagger.model.encoder._CUDA", "NoSuchExecutionProvider")
    assert choose_device("cpu") == choose_device("auto") == "cpu"
    with pytest.raises(TaggerError, match="finds no GPU here"):
        OnnxEncoder(float32, 64, device="cuda")
    monkeypatch.undo()
    # As where it is listed and its libraries are missing: ONNX Runtime goes on without it.
    monkeypatch.setattr("tagger.model.encoder.choose_device", lambda _wanted: "cuda")
    with pytest.raises(TaggerError, match=r"finds a GPU but cannot use it.*--device cpu"):
        OnnxEncoder(float32, 64, device="cuda")


@pytest.mark.real_encoder
def test_an_encoder_that_few_bits_would_spoil_keeps_32(untrained, tmp_path, monkeypatch):
    model, texts = load_trainable(str(untrained), 32), ["heart court", "survey of a drug trial"]
    expected = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    differences = []
    for place, least in (("few", LEAST_COSINE), ("many", 0.999999)):
        monkeypatch.setattr("tagger.training.onnx_export.LEAST_COSINE", least)
        (tmp_path / place).mkdir()
        export_onnx(model, tmp_path / place, texts)
        found = OnnxEncoder(tmp_path / place, 32).encode(texts)
        differences.append(np.abs(found - expected).max())
    assert differences[1] < 1e-4 < differences[0]


@pytest.mark.real_encoder
def test_a_gpu_gets_no_graph_that_was_refused(untrained, tmp_path, monkeypatch):
    def damage(path, _model):
        graph = onnx.load(path)
        for value in graph.graph.initializer:
            if value.data_type == onnx.TensorProto.FLOAT:
                zeros = np.zeros_like(numpy_helper.to_array(value))
                value.CopyFrom(numpy_helper.from_array(zeros, value.name))
        onnx.save(graph, path.with_name("fused.onnx"))
        return path.with_name("fused.onnx")

    monkeypatch.setattr("tagger.training.onnx_export._fuse", damage)
    export_onnx(load_trainable(str(untrained), 32), tmp_path, TEXTS, float32=True)
    files = [tmp_path / name for name in ("encoder.onnx", "encoder.float32.onnx")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.real_encoder
def test_an_encoder_with_a_few_large_dimensions_is_smoothed_and_quantized(untrained, tmp_path):
    model = load_trainable(str(untrained), 32)
    with torch.no_grad():
        for layer in model[0].auto_model.encoder.layer:
            # The same function: what is made larger here is made smaller in the next product.
            layer.attention.self.value.weight[0] *= 4000.0
            layer.attention.self.value.bias[0] *= 4000.0
            layer.attention.output.dense.weight[:, 0] /= 4000.0
    export_onnx(model, tmp_path, TEXTS)
    operations = [node.op_type for node in onnx.load(tmp_path / "encoder.onnx").graph.node]
    assert "QuantizeLinear" in operations
    expected = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    found = OnnxEncoder(tmp_path, 32).encode(TEXTS)
    assert (found * expected).sum(axis=1).mean() > LEAST_COSINE


def broken(*_given):
    raise TaggerError("it gives what is no number")


@pytest.mark.real_encoder
@pytest.mark.parametrize("fault", [("LEAST_COSINE", 1.1), ("OnnxEncoder", broken)])
def test_an_encoder_that_is_another_once_exported_is_refused(
    untrained, tmp_path, monkeypatch, fault
):
    name, value = fault
    monkeypatch.setattr(f"tagger.training.onnx_export.{name}", value)
    with pytest.raises(TaggerError, match="different vectors") as caught:
        export_onnx(load_trainable(str(untrained), 32), tmp_path, TEXTS)
    assert caught.value.hint
    assert not (tmp_path / "encoder.onnx").exists()


@pytest.mark.real_encoder
def test_an_architecture_with_its_own_attention_is_exported_all_the_same(
    untrained, tmp_path, monkeypatch
):
    model = load_trainable(str(untrained), 32)

    def unknown(_form):
        raise ValueError("does not support eager")

    monkeypatch.setattr(model[0].auto_model, "set_attn_implementation", unknown)
    export_onnx(model, tmp_path, TEXTS)
    expected = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    found = OnnxEncoder(tmp_path, 32).encode(TEXTS)
    assert (found * expected).sum(axis=1).mean() > LEAST_COSINE


@pytest.mark.real_encoder
def test_a_text_without_tokens_has_no_direction(untrained, tmp_path):
    export_onnx(load_trainable(str(untrained), 32), tmp_path)
    nothing, something = OnnxEncoder(tmp_path, 32).encode(["", "heart"])
    assert not nothing.any()
    assert np.linalg.norm(something) == pytest.approx(1)


@pytest.mark.real_encoder
def test_an_encoder_that_cannot_be_exported_is_named(untrained, tmp_path, monkeypatch):
    model = load_trainable(str(untrained), 32)

    def unknown(*_inputs, **_named):
        raise ValueError("no such operation\nat all")

    monkeypatch.setattr(model[0].auto_model, "forward", unknown)
    monkeypatch.setattr(model, "encode", lambda *_, **__: None)
    with pytest.raises(TaggerError, match=r"the encoder '.*untrained.*' .* \(no such operation\)"):
        export_onnx(model, tmp_path, TEXTS)


@pytest.mark.real_encoder
@pytest.mark.parametrize("step", ["_export", "_fuse", "quantize"])
def test_a_full_disk_is_no_fault_of_the_encoder(untrained, tmp_path, monkeypatch, step):
    def full(*_inputs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"tagger.training.onnx_export.{step}", full)
    with pytest.raises(OSError, match="No space left on device"):
        export_onnx(load_trainable(str(untrained), 32), tmp_path, TEXTS)
