"""Export a fine-tuned encoder to ONNX: attention in one operation, weights in 7 bits.

The file is a quarter as large and the encoder faster. One that this would change too much is left
in 32 bits.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger.encoder import ONNX_FILE, TOKENIZER_FILE, OnnxEncoder, quiet
from tagger.errors import TaggerError
from tagger.quantization import quantize
from tagger.taxonomy_draft import load_template, template_names

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

LEAST_COSINE = 0.97
"""Between the vectors of the exported encoder and its original, on average; all-MiniLM-L6-v2 in
7 bits has 0.993."""

_OPSET = 17
_SAMPLE = 16
"""Texts that the exported encoder is tried on."""
_SHOWN = 12
"""Of them, whole and cut to the length of a title, show which numbers occur within it."""
_TITLE_WORDS = 12
_HINT = "Train on another one: --encoder"


def export_onnx(model: SentenceTransformer, folder: Path, texts: Sequence[str] = ()) -> None:
    """Write ``encoder.onnx`` and ``tokenizer.json`` of a model into ``folder``.

    The graph takes ``input_ids`` of shape (texts, tokens), of texts of one length, as it knows of
    no padding, and gives ``vector`` of shape (texts, dimensions), pooled but of any length.

    Parameters
    ----------
    model:
        What to export.
    folder:
        Made if missing.
    texts:
        Such as it will encode: beside what the templates say of some tags, they show which numbers
        occur within it, and whether the small form is as good.

    Raises
    ------
    TaggerError
        If its architecture or its tokenizer is one that cannot be exported, or what is exported
        gives other vectors.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _named_on_failure(model):
        tokenizer = model.tokenizer.backend_tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        text = tokenizer.to_str(pretty=True)
        (folder / TOKENIZER_FILE).write_text(text, encoding="utf-8")
    step = max(len(texts) // _SAMPLE, 1)
    sample = [*_template_texts(), *texts[: _SAMPLE * step : step]]
    examples = [*sample[:_SHOWN], *(" ".join(t.split()[:_TITLE_WORDS]) for t in sample[:_SHOWN])]
    limit = int(model.max_seq_length or 512)
    expected = model.encode(sample, normalize_embeddings=True, show_progress_bar=False)
    with tempfile.TemporaryDirectory() as scratch, quiet():
        with _named_on_failure(model):
            forms = [_export(model, Path(scratch))]
        tokens = [part.ids[:limit] for part in tokenizer.encode_batch(examples)]
        steps: list[tuple[Callable[..., Path], Any]] = [(_fuse, model), (_quantize, tokens)]
        for make, by in steps:
            try:
                forms.append(make(forms[-1], by))
            except Exception as error:  # of an architecture that the library does not know
                _raise_if_of_disk(error)
        for form in reversed(forms):
            shutil.copyfile(form, folder / ONNX_FILE)
            with suppress(TaggerError):  # it may give what is no number
                found = OnnxEncoder(folder, limit).encode(sample)
                # Of a text without tokens both have no length, and are the same all the same.
                cosines = 1 - ((found - expected) ** 2).sum(axis=1) / 2
                if cosines.mean() >= LEAST_COSINE:
                    return
    (folder / ONNX_FILE).unlink()
    raise TaggerError(
        f"the encoder '{_name(model)}' gives other vectors once it is exported to ONNX",
        hint=_HINT,
    )


def _template_texts() -> list[str]:
    """Return what the templates say of the first tag of each facet, if they give examples of it."""
    tags = [facet.tags[0] for name in template_names() for facet in load_template(name).facets]
    return [" ".join((tag.definition, *tag.examples)) for tag in tags if tag.examples]


def _export(model: SentenceTransformer, folder: Path) -> Path:
    import torch

    class Forward(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = torch.nn.ModuleList(_steps(model))

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            features = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
            for step in self.steps:
                features = step(features)
            return features["sentence_embedding"]

    path = folder / "plain.onnx"
    example = torch.ones((2, 8), dtype=torch.long, device=model.device)
    with _eager_attention(model[0].auto_model):
        torch.onnx.export(
            Forward().eval(),
            (example,),
            str(path),
            input_names=["input_ids"],
            output_names=["vector"],
            dynamic_axes={"input_ids": {0: "texts", 1: "tokens"}, "vector": {0: "texts"}},
            opset_version=_OPSET,
            # ONNX Runtime knows attention in what the older exporter writes, not in dynamo's.
            dynamo=False,
        )
    return path


def _steps(model: SentenceTransformer) -> list[torch.nn.Module]:
    """Return the modules of an encoder, in a form in which texts have no part in each other.

    ONNX Runtime sums up the tokens of one text in another order than those of several; products of
    matrices it computes one by one. Lengths are made one when all is done.
    """
    import torch

    class MeanOfTokens(torch.nn.Module):
        def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            tokens = features["token_embeddings"]
            mask = features["attention_mask"].to(tokens.dtype)
            count = mask.sum(dim=1, keepdim=True).clamp(min=1)
            mean = (mask.unsqueeze(1) @ tokens).squeeze(1) / count
            return {**features, "sentence_embedding": mean}

    # By their names: releases of sentence-transformers differ in where they keep them.
    def is_mean(step: Any) -> bool:
        return type(step).__name__ == "Pooling" and getattr(step, "pooling_mode", None) == "mean"

    steps = [MeanOfTokens() if is_mean(step) else step for step in model]
    return steps[:-1] if type(steps[-1]).__name__ == "Normalize" else steps


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
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TaggerError(
            f"the encoder '{_name(model)}' cannot be exported to ONNX ({reason})", hint=_HINT
        ) from error


def _name(model: SentenceTransformer) -> str:
    return getattr(model.tokenizer, "name_or_path", "") or type(model.tokenizer).__name__


def _raise_if_of_disk(error: Exception) -> None:
    """Raise what is no fault of the encoder: a disk that is full."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


def _fuse(path: Path, model: SentenceTransformer) -> Path:
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    # Without a mask this one is faster (Dao et al., "FlashAttention", 2022).
    options.use_multi_head_attention = True
    options.disable_attention_mask()
    # See OnnxEncoder, which keeps ONNX Runtime from it, too.
    options.enable_skip_layer_norm = False
    options.enable_bias_skip_layer_norm = False
    fused = path.with_name("fused.onnx")
    transformer: Any = model[0].auto_model
    config = transformer.config
    sizes = {"num_heads": config.num_attention_heads, "hidden_size": config.hidden_size}
    optimized = optimize_model(
        str(path), model_type="bert", opt_level=0, optimization_options=options, **sizes
    )
    optimized.save_model_to_file(str(fused))
    return fused


def _quantize(path: Path, examples: Sequence[Sequence[int]]) -> Path:
    small = path.with_name("small.onnx")
    quantize(path, small, examples)
    return small
