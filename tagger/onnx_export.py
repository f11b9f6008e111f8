"""Export a fine-tuned encoder to ONNX: attention in one operation, weights in 7 bits.

Such weights, one scale a column (Jacob et al., "Quantization and Training of Neural Networks
for Efficient Integer-Arithmetic-Only Inference", 2018), make the file a quarter as large and the
encoder faster. An encoder that this would change too much is left in 32 bits.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger.encoder import ONNX_FILE, TOKENIZER_FILE, OnnxEncoder, quiet
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LEAST_COSINE = 0.97
"""Between the vectors of the exported encoder and its original, on average; all-MiniLM-L6-v2 in
7 bits has 0.993."""

_OPSET = 17
_SAMPLE = 16
"""Texts that the exported encoder is tried on."""


def export_onnx(model: SentenceTransformer, folder: Path, texts: Sequence[str]) -> None:
    """Write ``encoder.onnx`` and ``tokenizer.json`` of a model into ``folder``.

    The graph takes ``input_ids`` and ``attention_mask`` of shape (texts, tokens) and gives
    ``vector`` of shape (texts, dimensions), pooling included.

    Parameters
    ----------
    model:
        What to export.
    folder:
        Made if missing.
    texts:
        Such as it will encode: some of them show whether the small form is as good.

    Raises
    ------
    TaggerError
        If its architecture or its tokenizer is one that cannot be exported.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _named_on_failure(model):
        tokenizer = model.tokenizer.backend_tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        text = tokenizer.to_str(pretty=True)
        (folder / TOKENIZER_FILE).write_text(text, encoding="utf-8")
    sample = list(texts[:_SAMPLE])
    transformer: Any = model[0].auto_model
    expected = model.encode(sample, normalize_embeddings=True, show_progress_bar=False)
    with tempfile.TemporaryDirectory() as scratch, quiet():
        with _named_on_failure(model):
            forms = [_export(model, Path(scratch))]
        for make in (_fuse, _quantize):
            try:
                forms.append(make(forms[-1], transformer.config))
            except Exception as error:  # of an architecture that the library does not know
                _raise_if_of_disk(error)
        for form in reversed(forms):
            shutil.copyfile(form, folder / ONNX_FILE)
            found = OnnxEncoder(folder, int(model.max_seq_length or 512)).encode(sample)
            if not sample or (found * expected).sum(axis=1).mean() >= LEAST_COSINE:
                return


def _export(model: SentenceTransformer, folder: Path) -> Path:
    import torch

    class Forward(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            vector: torch.Tensor = self.model(features)["sentence_embedding"]
            return vector

    path = folder / "plain.onnx"
    transformer: Any = model[0].auto_model
    example = torch.ones((2, 8), dtype=torch.long, device=model.device)
    sizes = {0: "texts", 1: "tokens"}
    with _eager_attention(transformer):
        torch.onnx.export(
            Forward().eval(),
            (example, example),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["vector"],
            dynamic_axes={"input_ids": sizes, "attention_mask": sizes, "vector": {0: "texts"}},
            opset_version=_OPSET,
            # ONNX Runtime knows attention in what the older exporter writes, not in dynamo's.
            dynamo=False,
        )
    return path


@contextmanager
def _eager_attention(transformer: Any) -> Iterator[None]:
    """Let a transformer attend in the one form that ONNX Runtime recognises, if it knows it."""
    usual = getattr(transformer.config, "_attn_implementation", None)
    with suppress(Exception):
        transformer.set_attn_implementation("eager")
    try:
        yield
    finally:
        with suppress(Exception):
            transformer.set_attn_implementation(usual)


@contextmanager
def _named_on_failure(model: SentenceTransformer) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # an architecture may lack anything
        _raise_if_of_disk(error)
        name = getattr(model.tokenizer, "name_or_path", "") or type(model.tokenizer).__name__
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TaggerError(
            f"the encoder '{name}' cannot be exported to ONNX ({reason})",
            hint="Train on another one: --encoder",
        ) from error


def _raise_if_of_disk(error: Exception) -> None:
    """Raise what is no fault of the encoder: a disk that is full."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


def _fuse(path: Path, config: Any) -> Path:
    from onnxruntime.transformers.optimizer import optimize_model

    fused = path.with_name("fused.onnx")
    sizes = {"num_heads": config.num_attention_heads, "hidden_size": config.hidden_size}
    optimized = optimize_model(str(path), model_type="bert", opt_level=0, **sizes)
    optimized.save_model_to_file(str(fused))
    return fused


def _quantize(path: Path, _config: Any) -> Path:
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = path.with_name("small.onnx")
    quantize_dynamic(
        path,
        small,
        per_channel=True,
        # Signed weights are faster. Processors without VNNI add two products up in 16 bits, which
        # weights of 8 bits overflow and those of 7 do not.
        weight_type=QuantType.QInt8,
        reduce_range=True,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )
    return small
