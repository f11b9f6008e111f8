"""The encoders of a training: fine-tuned, brought near those of a champion, exported.

No encoder hangs on another, so several are made at once, each by a process of its own. That pays
even where two cores are all there are: much of the work on a small batch is done by one core alone.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tagger.encoder import (
    BUNDLED_ENCODER,
    ONNX_FILE,
    TOKENIZER_FILE,
    Encoder,
    OnnxEncoder,
    bundled_encoder_folder,
)
from tagger.encoder_cache import EncoderCache, key_of
from tagger.errors import TaggerError
from tagger.fine_tuning import ContrastiveTarget, FineTuning
from tagger.vector_cache import CachedEncoder, VectorCache
from tagger.weight_change import WeightChange, change_of_weights, fingerprint, interpolated

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

JOBS_VARIABLE = "TAGGER_JOBS"
_MOST_JOBS = 4
_BYTES_A_JOB = 2**30
_TIMES_WEIGHTS = 10
"""What a process that fine-tunes takes, beside so many times the weights: at 256 tokens 1.6 GB were
measured for all-MiniLM-L6-v2 (0.09 GB), and 5.3 GB for a BERT of base size (0.44 GB)."""
_SHARE_OF_MEMORY = 0.5
"""For such processes; there are others."""
_WEIGHTS = "model.safetensors"
_MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Of a container, by control groups of version 2 and 1 (kernel.org, "Control Group v2")."""

TrainingProgress = Callable[[str, int, int], None]
"""Called with the stage, steps done and steps in all."""


@dataclass(frozen=True)
class EncoderPlan:
    """What an encoder is made from, and nothing else.

    Parameters
    ----------
    stage:
        What its progress is called.
    texts, targets, tuning:
        As for :func:`tagger.contrastive.fine_tune`.
    near:
        How another encoder was fine-tuned, and what share of the weights is to be its, 0 to 1.
    """

    stage: str
    texts: list[str]
    targets: Mapping[str, ContrastiveTarget]
    tuning: FineTuning
    near: tuple[WeightChange, float] | None = None


@dataclass(frozen=True)
class TrainedEncoder:
    """An encoder as it tags: exported.

    Parameters
    ----------
    encoder:
        To be used.
    change:
        How it was fine-tuned.
    folder:
        Its files, for as long as the next is not asked for.
    reused:
        Whether the fine-tuning was done before.
    """

    encoder: Encoder
    change: WeightChange
    folder: Path
    reused: bool

    def save(self, folder: Path) -> None:
        """Copy its files into a folder, which is made if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        for file in (ONNX_FILE, TOKENIZER_FILE):
            shutil.copyfile(self.folder / file, folder / file)


def train_encoders(
    plans: Sequence[EncoderPlan],
    cache: EncoderCache | None = None,
    progress: TrainingProgress | None = None,
) -> Generator[TrainedEncoder, None, None]:
    """Yield the encoder of each plan, in their order, while processes make those to come.

    Parameters
    ----------
    plans:
        With 0 epochs the encoder is taken as it comes, by all of them.
    cache:
        Where fine-tuned encoders are kept, for a training of the same papers and tags.
    progress:
        Called as the work goes on.

    Raises
    ------
    TaggerError
        If an encoder cannot be loaded or exported, a process is killed, or ``TAGGER_JOBS`` is no
        number.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import BrokenProcessPool

    if not plans[0].tuning.epochs:
        for plan in plans:
            if progress:
                progress(plan.stage, 1, 1)
            yield _encoder_as_it_comes(plan.tuning.encoder, plan.tuning.max_tokens).trained
        return
    jobs = min(usual_jobs(plans[0].tuning.encoder), len(plans))
    alone = jobs == 1
    # A process whose memory has grown gives way to a fresh one, which is no concern of the user's.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    with TemporaryDirectory() as scratch:
        folders = [Path(scratch) / str(place) for place in range(len(plans))]
        tasks = (
            delayed(_train)(plan, folder, cache, progress if alone else None)
            for plan, folder in zip(plans, folders, strict=True)
        )
        # Targets may be large; mapped from files, as joblib would, they could not be written to.
        pool = Parallel(
            n_jobs=jobs,
            backend="loky",
            return_as="generator",
            pre_dispatch=jobs,
            max_nbytes=None,
        )
        with closing(pool(tasks)) as results:
            for place, (plan, folder) in enumerate(zip(plans, folders, strict=True)):
                if progress and not alone:
                    progress(f"Encoders, {jobs} at once", place, len(plans))
                try:
                    change, reused = next(results)
                except BrokenProcessPool as error:
                    raise TaggerError(
                        f"one of {jobs} processes that train was killed, as where memory runs out",
                        hint=f"Set {JOBS_VARIABLE}=1, and give the command again",
                    ) from error
                encoder = OnnxEncoder(folder, plan.tuning.max_tokens)
                yield TrainedEncoder(encoder, change, folder, reused)
                shutil.rmtree(folder)
    if progress and not alone:
        progress(f"Encoders, {jobs} at once", len(plans), len(plans))


def usual_jobs(encoder: str) -> int:
    """Return how many encoders are made at once: by cores and memory, or as the user says.

    Parameters
    ----------
    encoder:
        As for :func:`tagger.encoder.load_trainable`. One that is not here yet is made one at a
        time: several processes would fetch it at once.

    Raises
    ------
    TaggerError
        If the user says something else than a number.
    """
    from joblib import cpu_count

    wish = os.environ.get(JOBS_VARIABLE, "")
    if wish:
        if wish.isdecimal() and int(wish) > 0:
            return int(wish)
        raise TaggerError(
            f"{JOBS_VARIABLE} is '{wish}'", hint="Set it to a number from 1, or not at all"
        )
    size = _size_of_weights(encoder)
    # Whoever started this process may have started others like it; and a GPU is not shared.
    if size is None or multiprocessing.parent_process() or _trains_on_gpu():
        return 1
    by_memory = int(_memory() * _SHARE_OF_MEMORY // (_BYTES_A_JOB + _TIMES_WEIGHTS * size))
    return max(1, min(_MOST_JOBS, int(cpu_count()), by_memory))


def _size_of_weights(encoder: str) -> int | None:
    """Return the bytes of an encoder's weights, or None if they are not on this machine."""
    from huggingface_hub import try_to_load_from_cache

    if encoder == BUNDLED_ENCODER:
        return (bundled_encoder_folder() / _WEIGHTS).stat().st_size
    if Path(encoder).is_dir():
        return sum(path.stat().st_size for path in Path(encoder).rglob("*.safetensors"))
    for name in (encoder, f"sentence-transformers/{encoder}"):
        with suppress(ValueError):  # no name that a hub would give
            kept = try_to_load_from_cache(name, _WEIGHTS)
            if isinstance(kept, str):
                return Path(kept).stat().st_size
    return None


def _trains_on_gpu() -> bool:
    # PyTorch takes seconds to import, which most machines need not spend here.
    if shutil.which("nvidia-smi") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _memory() -> int:
    """Return the bytes that this process may use: the machine's, or fewer in a container."""
    import psutil

    found = [int(psutil.virtual_memory().total)]
    for path in _MEMORY_LIMITS:
        with suppress(OSError, ValueError):  # not there, or "max"
            found.append(int(path.read_text(encoding="ascii")))
    return min(found)


def _train(
    plan: EncoderPlan,
    folder: Path,
    cache: EncoderCache | None,
    progress: TrainingProgress | None,
) -> tuple[WeightChange, bool]:
    """Make an encoder and export it to a folder: what is measured is what tagging runs."""
    # Imported here: reading settings and labels needs no PyTorch.
    from tagger.encoder import load_trainable
    from tagger.onnx_export import export_onnx

    model = load_trainable(plan.tuning.encoder, plan.tuning.max_tokens).eval()
    change, reused = _learn_change(plan, model, cache, progress)
    if plan.near:
        change = interpolated(change, *plan.near)
    change.add_to(model)
    export_onnx(model, folder, plan.texts)
    return change, reused


def _learn_change(
    plan: EncoderPlan,
    base: SentenceTransformer,
    cache: EncoderCache | None,
    progress: TrainingProgress | None,
) -> tuple[WeightChange, bool]:
    """Fine-tune an encoder, unless that was done before."""
    from tagger.contrastive import arithmetic, fine_tune

    key = key_of(plan.texts, plan.targets, plan.tuning, arithmetic()) if cache else None
    if cache and key:
        known = cache.get(key, fingerprint(base))
        if known:
            if progress:
                progress(plan.stage, 1, 1)
            return known, True
    report = (lambda done, total: progress(plan.stage, done, total)) if progress else None
    tuned = fine_tune(plan.texts, plan.targets, plan.tuning, report)
    change = change_of_weights(base, tuned)
    if cache and key:
        cache.put(key, change)
    return change, False


class _EncoderAsItComes:
    """An exported encoder that is not fine-tuned: all folds and trainings share its vectors."""

    def __init__(self, name: str, max_tokens: int) -> None:
        from tagger.encoder import load_trainable
        from tagger.onnx_export import export_onnx

        self._scratch = TemporaryDirectory()
        folder = Path(self._scratch.name)
        model = load_trainable(name, max_tokens).eval()
        export_onnx(model, folder)
        encoder = OnnxEncoder(folder, max_tokens)
        size = encoder.encode([name]).shape[1]
        cached = CachedEncoder(lambda: encoder, "", size, VectorCache(folder / "vectors.sqlite"))
        unchanged = WeightChange(fingerprint(model), {}, {})
        self.trained = TrainedEncoder(cached, unchanged, folder, reused=False)


@lru_cache(maxsize=1)
def _encoder_as_it_comes(name: str, max_tokens: int) -> _EncoderAsItComes:
    return _EncoderAsItComes(name, max_tokens)
