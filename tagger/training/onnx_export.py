"""Export an encoder to ONNX, with attention as one operation, and quantize it.

The first form whose vectors are close to the original's is kept: quantized, smoothed and quantized,
in 32 bits.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger.errors import TaggerError, first_line
from tagger.model import FLOAT32_FILE, ONNX_FILE, TOKENIZER_FILE, OnnxEncoder
from tagger.training.pretrained import quiet
from tagger.training.quantization import Tokens, quantize, smooth

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LEAST_COSINE = 0.97
"""Least mean cosine similarity between vectors of the exported encoder and of the original."""

_OPSET = 17
_SAMPLE = 12
_TITLE_WORDS = 12
_EXAMPLES = (
    "A Survey of Question Answering over Tables. We review 140 papers from 2010 to 2024, compare "
    "their benchmarks and list what remains open.",
    "Effect of Vitamin D on Falls in Older Adults: a Randomised, Placebo-Controlled Trial",
    "We propose a graph neural network that predicts protein-ligand binding. It lowers the error "
    "by 12% on two public datasets; code is available.",
    "Why do reviewers disagree? In 31 interviews, editors said that time, not taste, decides.",
    "The corpus holds 2.3 million court decisions in nine languages (German, Français, Español, "
    "日本語 and others), with metadata in JSON.",
    "Long-term monitoring of alpine streams shows warming of 0.4 °C per decade (95% CI 0.2 to "
    "0.6), mostly in late summer.",
    "A Fast Algorithm for Sparse Matrix Products on GPUs",
    "This tutorial explains maximum likelihood, step by step, for students of economics.",
    "In a cohort of 48,112 women, night work was associated with breast cancer (HR = 1.19); the "
    "association vanished after adjustment for age at first birth.",
    "Static analysis finds fewer bugs than developers expect: an empirical study of 412 "
    "open-source projects in C++, Rust and Python.",
    "The theory of fair division meets school choice; we prove that no mechanism is both "
    "strategy-proof and envy-free, and give an approximation.",
    "Teachers' Beliefs about Reading: Questionnaires, Classrooms, and What Comes Next",
)
"""Typical titles and sentences: they show the range of activations. Changing one changes the
vectors of every encoder that is exported later."""
_HINT = "Models tag without PyTorch, by ONNX Runtime: choose another --encoder or --recipe"


def export_onnx(
    model: SentenceTransformer, folder: Path, texts: Sequence[str] = (), *, float32: bool = False
) -> None:
    """Write ``encoder.onnx`` and ``tokenizer.json`` of a model into a folder, created if missing.

    The graph takes ``input_ids`` of shape (texts, tokens), without padding, so all texts of a batch
    have the same length. It gives ``vector`` of shape (texts, dimensions): pooled, not normalized.
    ``texts`` are added to built-in examples, on which the encoder is quantized and compared with
    the original. With ``float32`` the unquantized graph is written as well. Raises a TaggerError if
    the encoder cannot be exported, or its vectors differ from the original's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = getattr(model.tokenizer, "name_or_path", "") or type(model.tokenizer).__name__
    step = max(len(texts) // _SAMPLE, 1)
    sample = [*_EXAMPLES, *texts[: _SAMPLE * step : step]]
    examples = [*sample, *(" ".join(text.split()[:_TITLE_WORDS]) for text in sample)]
    limit = int(model.max_seq_length or 512)
    with tempfile.TemporaryDirectory() as scratch, quiet():
        with _step(needed_by=name):
            tokenizer = model.tokenizer.backend_tokenizer
            tokenizer.no_truncation()
            tokenizer.no_padding()
            text = tokenizer.to_str(pretty=True)
            (folder / TOKENIZER_FILE).write_text(text, encoding="utf-8")
            expected = model.encode(sample, normalize_embeddings=True, show_progress_bar=False)
            forms = [_export(model, Path(scratch))]
        tokens = [part.ids[:limit] for part in tokenizer.encode_batch(examples)]
        with _step():
            forms.insert(0, _fuse(forms[0], model))
        for form in chain(_quantized(forms[0], tokens), forms):
            shutil.copyfile(form, folder / ONNX_FILE)
            with suppress(TaggerError):  # its vectors may not be finite
                found = OnnxEncoder(folder, limit).encode(sample)
                # A text without tokens has the zero vector in both, and so a distance of 0.
                cosines = 1 - ((found - expected) ** 2).sum(axis=1) / 2
                if cosines.mean() >= LEAST_COSINE:
                    if float32:
                        unquantized = form if form in forms else forms[0]
                        shutil.copyfile(unquantized, folder / FLOAT32_FILE)
                    return
    (folder / ONNX_FILE).unlink()
    raise TaggerError(
        f"the encoder '{name}' gives different vectors after its export to ONNX", hint=_HINT
    )


def _export(model: SentenceTransformer, folder: Path) -> Path:
    import torch

    # Vectors are normalized outside of the graph. Modules are recognized by class name, since
    # releases of sentence-transformers differ in where they define them.
    steps = list(model)
    if type(steps[-1]).__name__ == "Normalize":
        steps.pop()

    class Forward(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = torch.nn.ModuleList(steps)

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            features = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
            for step in self.steps:
                if type(step).__name__ == "Pooling" and step.pooling_mode == "mean":
                    # ONNX Runtime sums the tokens of one text in another order than those of
                    # several texts. A matrix product has the same order for any batch.
                    mask = features["attention_mask"].float()
                    total = (mask.unsqueeze(1) @ features["token_embeddings"]).squeeze(1)
                    count = mask.sum(dim=1, keepdim=True).clamp(min=1)
                    features = {**features, "sentence_embedding": total / count}
                else:
                    features = step(features)
            return features["sentence_embedding"]

    transformer: Any = model[0].auto_model
    with suppress(Exception):  # an architecture may support only its own attention
        # The only form of attention that ONNX Runtime recognizes.
        transformer.set_attn_implementation("eager")
    path = folder / "plain.onnx"
    torch.onnx.export(
        Forward().eval(),
        (torch.ones((2, 8), dtype=torch.long, device=model.device),),
        str(path),
        input_names=["input_ids"],
        output_names=["vector"],
        dynamic_axes={"input_ids": {0: "texts", 1: "tokens"}, "vector": {0: "texts"}},
        opset_version=_OPSET,
        # ONNX Runtime recognizes attention in graphs of the older exporter, not in dynamo's.
        dynamo=False,
    )
    return path


@contextmanager
def _step(needed_by: str = "") -> Iterator[None]:
    """Skip a step that fails for an architecture; raise a TaggerError if an encoder needs it."""
    try:
        yield
    except Exception as error:  # an unsupported architecture may raise any exception
        if isinstance(error, OSError) and error.errno is not None:
            raise  # a full or broken disk is not the architecture's fault
        if needed_by:
            raise TaggerError(
                f"the encoder '{needed_by}' cannot be exported to ONNX ({first_line(error)})",
                hint=_HINT,
            ) from error


def _quantized(path: Path, examples: Tokens) -> Iterator[Path]:
    """Yield the quantized form of a graph, then the smoothed one, each made when it is asked for.

    A form that cannot be made is left out.
    """
    with _step():
        yield quantize(path, examples)
    with _step():
        yield quantize(smooth(path, examples), examples)


def _fuse(path: Path, model: SentenceTransformer) -> Path:
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    # Without a mask, multi-head attention is faster (Dao et al., "FlashAttention", 2022).
    options.use_multi_head_attention = True
    options.disable_attention_mask()
    # OnnxEncoder says why, and disables them in ONNX Runtime, too.
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
