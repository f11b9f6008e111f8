"""Fine-tune and export the encoders of a training run, in parallel.

Encoders do not depend on each other, so they are trained in parallel processes. That helps even on
two cores: much of the work on a small batch runs on one core only.

Encoders are cached by the inputs of their fine-tuning, so an interrupted training run resumes, and
heads can be fitted again without fine-tuning. Cache errors are ignored; a damaged entry is deleted
and its encoder trained again.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import time
import warnings
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError
from tagger.model import (
    FLOAT32_FILE,
    ONNX_FILE,
    TOKENIZER_FILE,
    CachedEncoder,
    Encoder,
    OnnxEncoder,
    VectorCache,
    default_cache_folder,
    sha256_of,
)
from tagger.papers import Paper
from tagger.training.data import TEXT
from tagger.training.pretrained import (
    BUNDLED_ENCODER,
    bundled_encoder_folder,
    file_hashes,
    save_trained,
)
from tagger.training.recipes import find_recipe
from tagger.training.settings import FineTuning

if TYPE_CHECKING:
    from datasets import Dataset

CACHE_VERSION = 4
"""Increase it with each change of fine-tuning or export that changes the encoder."""

WEIGHTS_FILE = "weights.safetensors"
_LIMIT = 512 * 2**20
"""Bytes. A training run with the bundled encoder makes six encoders of 23 MB each."""
_LIBRARIES = (
    "torch",
    "accelerate",
    "transformers",
    "sentence-transformers",
    "setfit",
    "onnxruntime",
)
_CHECKSUM = "sha256"
JOBS_VARIABLE = "TAGGER_JOBS"
_MOST_JOBS = 4
_TIMED_PAPERS = 32
_BYTES_PER_JOB = 2**30
_TIMES_WEIGHTS = 10
"""A fine-tuning process is expected to take 1 GiB and ten times the size of its weights. At 256
tokens, 1.6 GB were measured for all-MiniLM-L6-v2 (0.09 GB) and 5.3 GB for BERT base (0.44 GB)."""
_SHARE_OF_MEMORY = 0.5
_MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Files with the memory limit of a container: control groups of version 2 and of version 1
(kernel.org, "Control Group v2")."""


@dataclass
class EncoderCache:
    """Cache of exported encoders in a folder, up to ``limit`` bytes.

    The least recently used encoders are deleted first; the newest one is always kept.
    """

    folder: Path
    limit: int = _LIMIT

    def get(self, key: str, target: Path) -> bool:
        """Copy the encoder of a key to a new folder; return whether the cache has it."""
        entry = self.folder / key
        try:
            shutil.copytree(entry, target)
        except OSError:
            shutil.rmtree(target, ignore_errors=True)
            return False
        with suppress(OSError, ValueError):
            if (target / _CHECKSUM).read_text("ascii") == _checksum(target):
                os.utime(entry)
                return True
        for damaged in (target, entry):
            shutil.rmtree(damaged, ignore_errors=True)
        return False

    def put(self, key: str, encoder: Path) -> None:
        """Copy the encoder in a folder into the cache, under a key."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as scratch:
                copy = Path(scratch) / "copy"
                shutil.copytree(encoder, copy)
                (copy / _CHECKSUM).write_text(_checksum(copy), "ascii")
                copy.rename(self.folder / key)
            self._drop_least_recently_used()

    def _drop_least_recently_used(self) -> None:
        # Half-written folders of killed training runs count, and are deleted, like entries.
        folders = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime)
        sizes = [sum(file.stat().st_size for file in path.rglob("*")) for path in folders]
        excess = sum(sizes) - self.limit
        for path, size in list(zip(folders, sizes, strict=True))[:-1]:
            if excess <= 0:
                return
            shutil.rmtree(path, ignore_errors=True)
            excess -= size


def default_encoder_cache() -> EncoderCache | None:
    """Return the user's cache, or None where ``TAGGER_CACHE`` is ``off``."""
    folder = default_cache_folder()
    return EncoderCache(folder / "encoders") if folder else None


def _local_folder(encoder: str) -> Path | None:
    """Return the folder of a pretrained encoder, or None if it is not on this machine."""
    from huggingface_hub import snapshot_download

    if encoder == BUNDLED_ENCODER:
        return bundled_encoder_folder()
    if Path(encoder).is_dir():
        return Path(encoder)
    for name in (encoder, f"sentence-transformers/{encoder}"):
        with suppress(OSError, ValueError):  # not downloaded, or not a name that a hub would give
            return Path(snapshot_download(name, local_files_only=True))
    return None


def _checksum(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.name != _CHECKSUM)
    return "\n".join(f"{path.name} {sha256_of(path)}" for path in files)


@dataclass(frozen=True)
class EncoderPlan:
    """The inputs of fine-tuning and exporting an encoder, and the stage to report.

    ``examples`` are texts with their tags, as :func:`tagger.training.data.examples_of` makes them.
    ``float32`` tells whether to export the encoder with 32-bit weights, too, for GPUs; ``weights``,
    whether to keep the trained weights of the PyTorch encoder.
    """

    stage: str
    examples: Dataset
    tuning: FineTuning
    float32: bool = False
    weights: bool = False

    def cache_key(self, arithmetic: str) -> str | None:
        """Return a hash of all inputs of the encoder.

        None if the pretrained encoder is not on this machine. ``arithmetic`` names the device and
        precision of fine-tuning.
        """
        folder = _local_folder(self.tuning.encoder)
        if folder is None:
            return None
        versions = [
            CACHE_VERSION,
            arithmetic,
            self.float32,
            self.weights,
            *map(version, _LIBRARIES),
        ]
        settings = {field.name: getattr(self.tuning, field.name) for field in fields(FineTuning)}
        settings["encoder"] = file_hashes(folder)
        examples = [self.examples.features.to_dict(), self.examples.to_dict()]
        content = json.dumps([versions, settings, examples])
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class TrainedEncoder:
    """An exported encoder. Its folder is deleted when the next encoder is requested.

    ``reused`` tells whether it was taken from the cache.
    """

    encoder: Encoder
    folder: Path
    reused: bool = False

    def seconds_per_100(self, papers: Sequence[Paper], max_tokens: int) -> float:
        """Time the encoder, without a cache of vectors, on at most 32 papers."""
        texts = [paper.text for paper in papers[:_TIMED_PAPERS]]
        encoder = OnnxEncoder(self.folder, max_tokens)
        begin = time.perf_counter()
        encoder.encode(texts)
        return 100 * (time.perf_counter() - begin) / len(texts)

    @property
    def megabytes(self) -> float:
        """Size of the encoder that runs on a CPU, and of its tokenizer."""
        return (
            sum((self.folder / file).stat().st_size for file in (ONNX_FILE, TOKENIZER_FILE)) / 1e6
        )

    def save(self, folder: Path, weights: Path | None = None) -> None:
        """Copy the encoder into a folder, created if missing, and its weights to a file."""
        folder.mkdir(parents=True, exist_ok=True)
        for file in (ONNX_FILE, TOKENIZER_FILE, FLOAT32_FILE):
            if (self.folder / file).exists():
                shutil.copyfile(self.folder / file, folder / file)
        if weights and (self.folder / WEIGHTS_FILE).exists():
            shutil.copyfile(self.folder / WEIGHTS_FILE, weights)


def train_encoders(
    plans: Sequence[EncoderPlan],
    cache: EncoderCache | None = None,
    progress: Progress = no_progress,
) -> Generator[TrainedEncoder, None, None]:
    """Yield the encoder of each plan, in order, while processes train the next ones.

    All plans must have the same recipe, pretrained encoder and number of epochs. Raises a
    TaggerError if the encoder cannot be loaded or exported, a process was killed, or
    ``TAGGER_JOBS`` is invalid.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import BrokenProcessPool

    tuning = plans[0].tuning
    if not tuning.epochs:
        float32 = any(plan.float32 for plan in plans)
        for plan in plans:
            progress(plan.stage, 1, 1)
            given = tuning.encoder, tuning.max_tokens, float32
            yield _pretrained(*given, _changed(tuning.encoder))[0]
        return
    jobs = min(default_jobs(tuning.encoder), len(plans))
    stage = f"Encoders, {jobs} at once"
    # joblib replaces a process whose memory has grown, and warns of it: the user need not know.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    with TemporaryDirectory() as scratch:
        folders = [Path(scratch) / str(position) for position in range(len(plans))]
        tasks = (
            delayed(_train)(plan, folder, cache, progress if jobs == 1 else no_progress)
            for plan, folder in zip(plans, folders, strict=True)
        )
        # Without a maximum, large arrays would be mapped from read-only files.
        pool = Parallel(jobs, "loky", return_as="generator", pre_dispatch=jobs, max_nbytes=None)
        with closing(pool(tasks)) as results:
            for position, folder in enumerate(folders):
                if jobs > 1:
                    progress(stage, position, len(plans))
                try:
                    reused = next(results)
                except BrokenProcessPool as error:
                    raise TaggerError(
                        f"one of {jobs} training processes was killed; a likely cause is that "
                        "memory ran out",
                        hint=f"Set {JOBS_VARIABLE}=1 and run the command again",
                    ) from error
                yield TrainedEncoder(OnnxEncoder(folder, tuning.max_tokens), folder, reused)
                shutil.rmtree(folder)
    if jobs > 1:
        progress(stage, len(plans), len(plans))


def default_jobs(encoder: str) -> int:
    """Return how many encoders to train in parallel: ``TAGGER_JOBS``, or by cores and memory.

    The default is 1 for an encoder that must be downloaded, on a GPU, and in a child process.
    Raises a TaggerError if ``TAGGER_JOBS`` is not a whole number from 1.
    """
    import psutil
    from joblib import cpu_count

    jobs = os.environ.get(JOBS_VARIABLE, "")
    if jobs:
        if jobs.isdecimal() and int(jobs) > 0:
            return int(jobs)
        raise TaggerError(
            f"the environment variable {JOBS_VARIABLE} is '{jobs}', not a whole number from 1",
            hint=f"Set {JOBS_VARIABLE}=1 or more, or remove the variable",
        )
    folder = _local_folder(encoder)
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors")) if folder else 0
    if not size or multiprocessing.parent_process() or _trains_on_gpu():
        return 1
    limits = [int(psutil.virtual_memory().total)]
    for path in _MEMORY_LIMITS:
        with suppress(OSError, ValueError):  # missing, or "max"
            limits.append(int(path.read_text(encoding="ascii")))
    by_memory = min(limits) * _SHARE_OF_MEMORY // (_BYTES_PER_JOB + _TIMES_WEIGHTS * size)
    return max(1, min(_MOST_JOBS, int(cpu_count()), int(by_memory)))


def _trains_on_gpu() -> bool:
    # PyTorch takes seconds to import, which most machines need not spend here.
    if shutil.which("nvidia-smi") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _train(plan: EncoderPlan, folder: Path, cache: EncoderCache | None, progress: Progress) -> bool:
    """Fine-tune and export an encoder into a folder, or copy it from the cache.

    Returns whether it came from the cache.
    """
    # Imported here: reading settings and labels does not need PyTorch.
    from tagger.training.fine_tuning import arithmetic
    from tagger.training.onnx_export import export_onnx

    key = plan.cache_key(arithmetic()) if cache else None
    if cache and key and cache.get(key, folder):
        progress(plan.stage, 1, 1)
        return True
    recipe = find_recipe(plan.tuning.recipe)
    model = recipe.fine_tune(plan.examples, plan.tuning, partial(progress, plan.stage))
    export_onnx(model, folder, plan.examples[TEXT][:], float32=plan.float32)
    if plan.weights:
        save_trained(model, folder / WEIGHTS_FILE)
    if cache and key:
        cache.put(key, folder)
    return False


def _changed(encoder: str) -> tuple[int, ...]:
    """Return when the files of an encoder were changed, if it is a folder."""
    files = sorted(Path(encoder).rglob("*")) if Path(encoder).is_dir() else []
    return tuple(file.stat().st_mtime_ns for file in files)


@lru_cache(maxsize=1)
def _pretrained(
    name: str, max_tokens: int, float32: bool, _changed: tuple[int, ...]
) -> tuple[TrainedEncoder, TemporaryDirectory[str]]:
    """Export a pretrained encoder without fine-tuning. All folds and training runs share it.

    One in a folder is exported again once a file there has changed.

    Also returns its temporary folder, which is deleted when nothing refers to it.
    """
    from tagger.training.onnx_export import export_onnx
    from tagger.training.pretrained import load_trainable

    scratch = TemporaryDirectory()
    folder = Path(scratch.name)
    export_onnx(load_trainable(name, max_tokens).eval(), folder, float32=float32)
    encoder = OnnxEncoder(folder, max_tokens)
    size = encoder.encode([name]).shape[1]
    cached = CachedEncoder(lambda: encoder, "", size, VectorCache(folder / "vectors.sqlite"))
    return TrainedEncoder(cached, folder), scratch
