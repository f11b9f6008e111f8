"""Workers of Ray: work is done through Ray Data, on this machine or on a cluster.

Ray Data hands out items, keeps the pool of workers and gives the item of a worker or machine that
failed to another. Its readers are not used: they read bad rows, encodings and columns otherwise
than ours, which are to give the same papers on a page as on a cluster. Nor are ``write_parquet``
and its checkpoints: they name files and cut them as blocks happen to fall, so a run that was
resumed would have other bytes, and all ids that are done would be in memory. Only numbers of shards
pass through Ray: each worker reads its papers and writes its part by itself.
"""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tagger._util.atomic import replacing_folder
from tagger.errors import TaggerError
from tagger.model import (
    FLOAT32_FILE,
    MANIFEST_FILE,
    MODEL_FILES,
    TaggerModel,
    choose_device,
    load_model,
)

_LOG = logging.getLogger(__name__)
_FAILURES = 5
"""How often what is left is begun anew where Ray gives up and nothing was done meanwhile."""
_INIT_DEATHS = 8
"""Workers in a row that may die while they start, as they do on a busy machine."""
_STARTS = 3
"""On a busy machine Ray may take longer than the half minute that it gives itself."""
_OBJECT_STORE = 100 * 2**20
"""Bytes, for a cluster on this machine alone; Ray takes a third of all memory otherwise."""
_STANDARD_ERROR = 2


class RayEngine:
    """Runs work as Ray Data does, with so many models at once; by default one a core, or a GPU.

    The model is copied from ``model_folder`` to where all workers find it. ``failures`` counts how
    often Ray gave up and what was left was begun anew.
    """

    shard_size = 8192
    """A shard takes a core some minutes, and a worker that dies loses at most so much."""

    def __init__(self, model_folder: Path, workers: int | None = None, device: str = "cpu") -> None:
        self._model_folder, self._workers, self.device = model_folder, workers, device
        self._resource = "GPU" if device == "cuda" else "CPU"
        self.batch_size = 1024 if device == "cuda" else 64
        self.failures = 0

    def share(self, model: TaggerModel, folder: Path) -> Callable[[], TaggerModel]:
        """Copy the model to a folder, and return what loads it from there."""
        if not (folder / MANIFEST_FILE).exists():
            with replacing_folder(folder) as copy:
                for name in (*MODEL_FILES, FLOAT32_FILE, MANIFEST_FILE):
                    if name != FLOAT32_FILE or (self._model_folder / name).exists():
                        shutil.copyfile(self._model_folder / name, copy / name)
        return partial(_load, folder, model.name, model.effort, self.device)

    def each(
        self, work: Callable[[Any], Any], items: Iterable[Any], *, holds_model: bool = False
    ) -> Iterator[Any]:
        """Yield what ``work`` returns for every item, in any order, as soon as it is there."""
        from ray.exceptions import RayError, RayTaskError

        left, failures = dict.fromkeys(map(pickle.dumps, items)), 0
        while left:
            try:
                for row in self._mapped(work, list(left), holds_model):
                    if row["item"] not in left:
                        continue
                    del left[row["item"]]
                    failures = 0
                    answer, problem = pickle.loads(row["answer"])
                    if problem:
                        raise TaggerError(**problem)
                    yield answer
            except RayError as error:
                failures += 1
                reason = f"the workers failed ({' '.join(str(error).split())[:500]})"
                of_work = isinstance(error, RayTaskError) and not isinstance(error.cause, RayError)
                if of_work or failures > _FAILURES:
                    hint = "What is done stays done: give the same command again"
                    raise TaggerError(reason, hint=hint) from error
                self.failures += 1
                again = f"{len(left)} items are begun anew, try {failures} of {_FAILURES}"
                _LOG.warning("%s; %s", reason, again)

    def _mapped(
        self, work: Callable[[Any], Any], items: list[bytes], holds_model: bool
    ) -> Iterable[dict[str, Any]]:
        import ray.data
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        # There is a progress bar already.
        context.enable_progress_bars = context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context.max_consecutive_actor_init_deaths = _INIT_DEATHS
        given: Any = ray.data.from_items(
            [{"item": item} for item in items], override_num_blocks=len(items)
        )
        if not holds_model:
            done: Any = given.map_batches(_Doing(work), batch_size=1, num_cpus=1)
            return done.iter_rows()  # type: ignore[no-any-return]
        there = _number_of(self._resource)
        if not there:
            raise TaggerError(f"the cluster has no {self._resource} to tag with")
        workers = min(self._workers or there, len(items))
        done = given.map_batches(
            # As an actor, which keeps the work, and with it the model.
            _Doing,
            fn_constructor_args=(work,),
            batch_size=1,
            # With fewer machines than hoped for, it goes on with those that are there.
            compute=ActorPoolStrategy(
                min_size=1, max_size=workers, initial_size=min(workers, there)
            ),
            num_cpus=1,
            num_gpus=1 if self._resource == "GPU" else None,
        )
        return done.iter_rows()  # type: ignore[no-any-return]


def _load(folder: Path, name: str, effort: str, device: str) -> TaggerModel:
    """Load the model on a worker, which has one core: all others have workers of their own."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return load_model(folder, name, device=device, threads=1).at_effort(effort)


class _Doing:
    """Work as a function of Ray Data; what a person can put right is an answer, not tried again."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work
        self.__name__ = "Doing"

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        (item,) = batch["item"]
        answer: tuple[Any, dict[str, Any] | None]
        try:
            answer = self._work(pickle.loads(item)), None
        except TaggerError as error:
            answer = None, {**vars(error)}
        return {"item": [item], "answer": [pickle.dumps(answer)]}


@contextmanager
def ray_cluster(address: str | None = None, workers: int | None = None) -> Iterator[None]:
    """Connect to a cluster for as long as the block takes, or have one on this machine alone.

    Nothing is reported to the makers of Ray, and a cluster of this machine, with a processor for
    each worker, listens on the loopback interface only. A program that is connected stays so.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray warns of arguments that this program holds for as long as they are needed.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address is None:
        # On Linux Ray would take an address that other machines see; elsewhere it does not.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray

    if ray.is_initialized():
        yield
        return
    own: dict[str, Any] = {
        "num_cpus": workers,
        "object_store_memory": _OBJECT_STORE,
        "include_dashboard": False,
    }
    for left in reversed(range(1 if address else _STARTS)):
        try:
            with _silence():
                ray.init(
                    address=address or "local",
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                    **({} if address else own),
                )
            break
        except Exception as error:  # that a start took too long, Ray says in just that
            ray.shutdown()
            if not left:
                raise TaggerError(
                    f"Ray cannot be reached ({' '.join(str(error).split())[:300]})",
                    hint="Start a cluster with 'ray start --head', or leave --cluster out for this "
                    "machine alone; if it is very busy, try again",
                ) from error
    try:
        yield
    finally:
        ray.shutdown()


def device_of_cluster(wanted: str) -> str:
    """Return what encodes on the cluster that is connected: ``cpu`` or ``cuda``.

    ``auto`` takes GPUs if the cluster has some and ONNX Runtime, as it is installed here, can use
    them.
    """
    if wanted == "auto":
        return choose_device(wanted) if _number_of("GPU") else "cpu"
    return wanted


def _number_of(resource: str) -> int:
    import ray

    return int(ray.cluster_resources().get(resource, 0))  # type: ignore[no-untyped-call]


@contextmanager
def _silence() -> Iterator[None]:
    """Drop what Ray's own processes say on standard error; what fails is raised as well."""
    sys.stderr.flush()
    kept = os.dup(_STANDARD_ERROR)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), _STANDARD_ERROR)
    try:
        yield
    finally:
        os.dup2(kept, _STANDARD_ERROR)
        os.close(kept)
