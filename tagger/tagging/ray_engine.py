"""Execute work with Ray Data, on this machine or on a cluster.

Ray Data distributes items, manages the pool of workers, and gives the item of a worker or machine
that failed to another one. Its readers are not used, because they treat bad rows, encodings and
columns differently: papers must be the same with and without a cluster. Its ``write_parquet`` and
checkpoints are not used either: files would depend on how blocks fall, so that a resumed run would
give other bytes, and the ids of all finished papers would be in memory. Only the numbers of shards
pass through Ray; each worker reads its papers and writes its part itself.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tagger._util.atomic import replacing_folder
from tagger.errors import TaggerError
from tagger.model import MANIFEST_FILE, TaggerModel, choose_device, copy_model, load_model

_LOG = logging.getLogger(__name__)
_FAILURES = 5
"""How often Ray may fail in a row, without a finished item in between, before the run fails."""
_INIT_DEATHS = 8
"""How many workers may die in a row while they start, as happens on a busy machine."""
_STARTS = 3
"""Attempts to start Ray, which may exceed its own limit of 30 seconds on a busy machine."""
_OBJECT_STORE = 100 * 2**20
"""Bytes, for a cluster on this machine only; Ray's default is a third of all memory."""
_STANDARD_ERROR = 2


class RayEngine:
    """Executes work with Ray Data.

    ``workers`` is the number of workers, each with a copy of the model from ``model_folder``; by
    default one per core, or per GPU if ``device`` is ``cuda``. ``failures`` counts how often Ray
    failed and was restarted.
    """

    shard_size = 8192
    """Some minutes of work on a core, which is all that is lost if a worker dies."""

    def __init__(self, model_folder: Path, workers: int | None = None, device: str = "cpu") -> None:
        self._model_folder, self._workers, self.device = model_folder, workers, device
        self._resource = "GPU" if device == "cuda" else "CPU"
        self.batch_size = 1024 if device == "cuda" else 64
        self.failures = 0

    def share(self, model: TaggerModel, folder: Path) -> Callable[[], TaggerModel]:
        """Copy the model to a folder that all workers see; return a function that loads it."""
        if not (folder / MANIFEST_FILE).exists():
            with replacing_folder(folder) as copy:
                copy_model(self._model_folder, copy)
        return partial(_load, folder, model.name, model.effort, self.device)

    def each(
        self, work: Callable[[Any], Any], items: Iterable[Any], *, holds_model: bool = False
    ) -> Iterator[Any]:
        """Yield the result of ``work`` for every item, in any order, as soon as it is available.

        Raises the TaggerError that ``work`` raised, or one that the workers failed.
        """
        from ray.exceptions import RayError, RayTaskError

        items = list(items)
        if len(items) == 1 and not holds_model:
            # One item is done here sooner than Ray starts a worker.
            yield work(items[0])
            return
        remaining, failures = dict.fromkeys(map(pickle.dumps, items)), 0
        while remaining:
            try:
                for row in self._mapped(work, list(remaining), holds_model):
                    if row["item"] not in remaining:
                        continue
                    del remaining[row["item"]]
                    failures = 0
                    result, error_fields = pickle.loads(row["result"])
                    if error_fields:
                        raise TaggerError(**error_fields)
                    yield result
            except RayError as error:
                failures += 1
                reason = f"the workers failed ({' '.join(str(error).split())[:500]})"
                of_work = isinstance(error, RayTaskError) and not isinstance(error.cause, RayError)
                if of_work or failures > _FAILURES:
                    hint = "Run the same command again: finished work is kept"
                    raise TaggerError(reason, hint=hint) from error
                self.failures += 1
                retry = f"retry {failures} of {_FAILURES} with {len(remaining)} items"
                _LOG.warning("%s; %s", reason, retry)

    def _mapped(
        self, work: Callable[[Any], Any], items: list[bytes], holds_model: bool
    ) -> Iterable[dict[str, Any]]:
        import ray.data
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        # The run has a progress bar of its own.
        context.enable_progress_bars = context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context.max_consecutive_actor_init_deaths = _INIT_DEATHS
        dataset: Any = ray.data.from_items(
            [{"item": item} for item in items], override_num_blocks=len(items)
        )
        if not holds_model:
            results: Any = dataset.map_batches(_Work(work), batch_size=1, num_cpus=1)
            return results.iter_rows()  # type: ignore[no-any-return]
        available = _count_resource(self._resource)
        if not available:
            raise TaggerError(
                f"the cluster has no {self._resource}",
                hint="Choose another --device, or add machines to the cluster",
            )
        workers = min(self._workers or available, len(items))
        results = dataset.map_batches(
            # A class becomes an actor, which keeps the work, and with it the model.
            _Work,
            fn_constructor_args=(work,),
            batch_size=1,
            # One machine is enough to start and to go on.
            compute=ActorPoolStrategy(
                min_size=1, max_size=workers, initial_size=min(workers, available)
            ),
            num_cpus=1,
            num_gpus=1 if self._resource == "GPU" else None,
        )
        return results.iter_rows()  # type: ignore[no-any-return]


def _load(folder: Path, name: str, effort: str, device: str) -> TaggerModel:
    """Load the model in a worker, which uses one core, as there is a worker for each core."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return load_model(folder, name, device=device, threads=1).at_effort(effort)


class _Work:
    """Work as a function of Ray Data.

    A TaggerError is returned rather than raised: Ray would repeat the work, and fail again.
    """

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self._work = work
        self.__name__ = "Work"

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        (item,) = batch["item"]
        result: tuple[Any, dict[str, Any] | None]
        try:
            result = self._work(pickle.loads(item)), None
        except TaggerError as error:
            result = None, {**vars(error)}
        return {"item": [item], "result": [pickle.dumps(result)]}


@contextmanager
def ray_cluster(address: str | None = None, workers: int | None = None) -> Iterator[None]:
    """Connect to a Ray cluster, or start one on this machine, for the duration of the block.

    ``workers`` is the number of cores of a new cluster, which listens on the loopback interface
    only. Usage reports to the makers of Ray are switched off. An existing connection of this
    process is used and kept. Raises a TaggerError if Ray cannot be reached.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray would warn of large arguments, which this program needs.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address is None:
        # Otherwise Ray on Linux listens on an address that other machines can reach.
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
    for more_attempts in reversed(range(1 if address else _STARTS)):
        try:
            with _silence():
                ray.init(
                    address=address or "local",
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                    **({} if address else own),
                )
            break
        except Exception as error:  # Ray raises a plain Exception if its start takes too long
            ray.shutdown()
            if not more_attempts:
                raise TaggerError(
                    f"Ray cannot be reached ({' '.join(str(error).split())[:300]})",
                    hint="Start a cluster with 'ray start --head', or leave out --cluster to use "
                    "this machine only; if it is very busy, try again",
                ) from error
    try:
        yield
    finally:
        ray.shutdown()


def device_of_cluster(wanted: str) -> str:
    """Return the device that encodes on the connected cluster: ``cpu`` or ``cuda``.

    ``auto`` is ``cuda`` if the cluster has GPUs and the installed ONNX Runtime supports them.
    """
    if wanted == "auto":
        return choose_device(wanted) if _count_resource("GPU") else "cpu"
    return wanted


def _count_resource(resource: str) -> int:
    import ray

    return int(ray.cluster_resources().get(resource, 0))  # type: ignore[no-untyped-call]


@contextmanager
def _silence() -> Iterator[None]:
    """Hide what Ray's own processes write to standard error; failures are raised as well."""
    sys.stderr.flush()
    kept = os.dup(_STANDARD_ERROR)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), _STANDARD_ERROR)
    try:
        yield
    finally:
        os.dup2(kept, _STANDARD_ERROR)
        os.close(kept)
