"""Encode texts as vectors with an exported encoder, run by ONNX Runtime."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tagger._util.arrays import Vectors
from tagger._util.progress import StepProgress
from tagger.errors import TaggerError, first_line

if TYPE_CHECKING:
    from tokenizers import Encoding

ONNX_FILE = "encoder.onnx"
TOKENIZER_FILE = "tokenizer.json"
FLOAT32_FILE = "encoder.float32.onnx"
"""The encoder with 32-bit weights, for a GPU; optional."""
DEFAULT_MAX_TOKENS = 256
ENCODING = 3
"""Version of the encoding procedure; increase it after a change that gives other vectors."""

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_WINDOW = 1024
"""Number of texts from which batches of texts of equal length are formed."""
_TOKENS = 192
"""Maximum number of tokens of a batch on one core; a longer text forms its own batch."""
_GPU_TOKENS = 65_536


class Encoder(Protocol):
    """Anything that turns texts into vectors."""

    def encode(self, texts: Sequence[str], progress: StepProgress | None = None) -> Vectors:
        """Return one vector of unit length per text, shape (texts, dimensions)."""


def choose_device(wanted: str) -> str:
    """Return ``cpu`` or ``cuda``; for ``auto``, ``cuda`` if ONNX Runtime finds a GPU.

    Raises a TaggerError if ``cuda`` is wanted and ONNX Runtime finds no GPU.
    """
    if wanted == "cpu":
        return wanted
    import onnxruntime

    if _CUDA in onnxruntime.get_available_providers():
        return "cuda"
    if wanted == "auto":
        return "cpu"
    raise TaggerError(
        "ONNX Runtime finds no GPU here",
        hint="Install onnxruntime-gpu in place of onnxruntime, or omit --device",
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class OnnxEncoder:
    """An exported encoder, run by ONNX Runtime without PyTorch.

    Each batch has texts of equal length, so there is no padding, and the vector of a text does not
    depend on other texts. A GPU cannot run 8-bit weights: on ``cuda`` the 32-bit encoder is used,
    whose vectors differ slightly. ``threads`` is the number of CPU cores to use, by default all.
    Raises a TaggerError if the encoder cannot be loaded, or the wanted device cannot run it.
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
        # Errors are raised, so they need not be printed.
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        has_float32 = (folder / FLOAT32_FILE).exists()
        on_gpu = choose_device(device) == "cuda" and (device != "auto" or has_float32)
        graph = folder / (FLOAT32_FILE if on_gpu else ONNX_FILE)
        if on_gpu and not has_float32:
            raise TaggerError(
                f"the model has no {FLOAT32_FILE}, which a GPU needs",
                path=folder,
                hint="Train a model with tagger train --float32, or omit --device",
            )
        self._threads = 1 if on_gpu else threads or _cores()
        self._tokens = _GPU_TOKENS if on_gpu else _TOKENS
        try:
            self._session = onnxruntime.InferenceSession(
                str(graph),
                options,
                providers=list(dict.fromkeys([_CUDA, _CPU] if on_gpu else [_CPU])),
                # Otherwise it would try again and print a message.
                enable_fallback=0,
                # On a CPU, separate addition and normalisation are three times faster than fused.
                disabled_optimizers=set() if on_gpu else {"SkipLayerNormFusion"},
            )
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        except Exception as error:  # both libraries raise bare Exception subclasses
            raise TaggerError(
                f"the model's encoder cannot be loaded ({first_line(error)})", path=folder
            ) from error
        if on_gpu and _CUDA not in self._session.get_providers():
            # ONNX Runtime falls back to the CPU with only a warning.
            raise TaggerError(
                "ONNX Runtime finds a GPU but cannot use it",
                hint="Install the CUDA libraries that onnxruntime-gpu needs, or use --device cpu",
            )
        self._folder = folder
        self._dimensions = dimensions
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str], progress: StepProgress | None = None) -> Vectors:
        """Return one vector of unit length per text, shape (texts, dimensions).

        Raises a TaggerError if the encoder fails, or its vectors are not finite or have another
        number of dimensions.
        """
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
            raise self._unusable(first_line(error)) from error

    def _encode(self, ids: list[list[int]]) -> list[Vectors]:
        try:
            found = self._session.run(["vector"], {"input_ids": np.array(ids, dtype=np.int64)})[0]
        except Exception as error:  # ONNX Runtime raises bare Exception subclasses
            raise self._unusable(first_line(error)) from error
        vectors = np.asarray(found, dtype=np.float32)
        fits = vectors.ndim == 2 and len(vectors) == len(ids)
        if not fits or self._dimensions not in (None, vectors.shape[1]):
            raise self._unusable(f"its vectors have shape {vectors.shape[1:]}")
        if not np.isfinite(vectors).all():
            raise self._unusable("its vectors contain NaN or infinity")
        # One by one, because the norm of a row among many may differ in the last digit.
        return [vector / max(float(np.linalg.norm(vector)), 1e-12) for vector in vectors]

    def _unusable(self, reason: str) -> TaggerError:
        return TaggerError(f"the model's encoder cannot be used ({reason})", path=self._folder)


def _batches(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Group the indices of texts of equal length into batches, the longest texts first."""
    of_length: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        of_length.setdefault(length, []).append(index)
    batches = []
    for length, indices in sorted(of_length.items(), reverse=True):
        size = max(tokens // max(length, 1), 1)
        batches += [indices[start : start + size] for start in range(0, len(indices), size)]
    return batches


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
