"""Workers of Ray: work is done through Ray Data, on this machine or on a cluster.

Only items and answers, a few hundred bytes each, pass through Ray: each worker reads the papers of
its shard and writes its part by itself. What a failed worker or machine was doing is done by
another: Ray Data hands the item out again.
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tagger.errors import TaggerError
from tagger.model import choose_device

_LOG = logging.getLogger(__name__)
_FAILURES = 5
"""How often what is left is begun anew where Ray gives up and nothing was done meanwhile."""
_RESTARTS = 8
"""How often Ray restarts one worker that died."""
_STARTS = 3
"""On a busy machine Ray may take longer than the half minute that it gives itself."""
_OBJECT_STORE = 100 * 2**20
"""Bytes, for a cluster on this machine alone; Ray takes a third of all memory otherwise."""
_STANDARD_ERROR = 2


class RayEngine:
    """Runs work as Ray Data does, with so many models at once; by default one a core, or a GPU."""

    def __init__(self, workers: int | None = None, device: str = "cpu") -> None:
        self._workers = workers
        self._resource = "GPU" if device == "cuda" else "CPU"

    def each(
        self, work: Callable[[Any], Any], items: Iterable[Any], *, holds_model: bool = False
    ) -> Iterator[Any]:
        """Yield what ``work`` returns for every item, in any order, as soon as it is there."""
        from ray.exceptions import RayError, RayTaskError

        left, failures = dict.fromkeys(map(pickle.dumps, items)), 0
        while left:
            try:
                for row in self._mapped(work, list(left), holds_model).iter_rows():
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
                again = f"{len(left)} items are begun anew, try {failures} of {_FAILURES}"
                _LOG.warning("%s; %s", reason, again)

    def _mapped(self, work: Callable[[Any], Any], items: list[bytes], holds_model: bool) -> Any:
        import ray.data
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        # There is a progress bar already.
        context.enable_progress_bars = context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        context.max_consecutive_actor_init_deaths = _RESTARTS
        given: Any = ray.data.from_items(
            [{"item": item} for item in items], override_num_blocks=len(items)
        )
        if not holds_model:
            return given.map_batches(_Doing(work), batch_size=1, num_cpus=1)
        there = _number_of(self._resource)
        if not there:
            raise TaggerError(f"the cluster has no {self._resource} to tag with")
        workers = min(self._workers or there, len(items))
        return given.map_batches(
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
            max_restarts=_RESTARTS,
            max_task_retries=_RESTARTS,
        )


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
