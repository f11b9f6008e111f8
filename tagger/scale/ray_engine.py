"""Workers of Ray: steps run through Ray Data, on this machine or on a cluster.

Only items and answers, a few hundred bytes each, pass through Ray: each worker reads the papers of
its shard and writes its part by itself. What a failed worker or machine was doing is done by
another: Ray Data hands the item out again.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tagger.encoder import choose_device
from tagger.errors import TaggerError
from tagger.scale.steps import Step

_STANDARD_ERROR = 2
_LOG = logging.getLogger(__name__)
_FAILURES = 5
_RESTARTS = 8
"""How often Ray restarts one worker that died."""
_STARTS = 3
"""On a busy machine Ray may take longer than the half minute that it gives itself."""
_OBJECT_STORE = 100 * 2**20
"""Bytes, for a cluster on this machine alone; Ray takes a third of all memory otherwise."""


class RayEngine:
    """Runs steps as Ray Data does.

    Parameters
    ----------
    workers:
        How many models are loaded at once; by default one for each core, or each GPU.
    device:
        ``cuda`` gives every worker that holds a model a GPU.
    """

    def __init__(self, workers: int | None = None, device: str = "cpu") -> None:
        self._workers = workers
        self._resource = "GPU" if device == "cuda" else "CPU"

    def each(self, step: Step, items: Iterable[str]) -> Iterator[str]:
        """Yield the answer to every item, in any order, as soon as it is there.

        Ray replaces workers that die. Where it gives up, what is left is begun anew, as long as
        some of it gets done, and :data:`_FAILURES` times in a row where nothing does.

        Raises
        ------
        TaggerError
            If the cluster fails for good, or a step raises.
        """
        from ray.exceptions import RayError, RayTaskError

        left, failures = dict.fromkeys(items), 0
        while left:
            try:
                for row in self._mapped(step, list(left)).iter_rows():
                    if row["item"] in left:
                        del left[row["item"]]
                        failures = 0
                        yield str(row["answer"])
                return
            except RayError as error:
                failures += 1
                reason = " ".join(str(error).split())[:500]
                of_step = isinstance(error, RayTaskError) and not isinstance(error.cause, RayError)
                if of_step or failures > _FAILURES:
                    raise TaggerError(
                        f"the workers failed ({reason})",
                        hint="What is done stays done: give the same command again",
                    ) from error
                _LOG.warning(
                    "the cluster failed (%s); %d items are begun anew, try %d of %d",
                    reason,
                    len(left),
                    failures,
                    _FAILURES,
                )

    def _mapped(self, step: Step, items: list[str]) -> Any:
        import ray.data
        from ray.data import ActorPoolStrategy

        _set_up()
        given: Any = ray.data.from_items(
            [{"item": item} for item in items], override_num_blocks=len(items)
        )
        if not step.holds_model:
            return given.map_batches(_Doing(step), batch_size=1, num_cpus=1)
        there = _number_of(self._resource)
        if not there:
            raise TaggerError(f"the cluster has no {self._resource} to tag with")
        workers = min(self._workers or there, len(items))
        return given.map_batches(
            _Worker,
            fn_constructor_args=(step,),
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
    """A step as a function of Ray Data: batches of one item."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.__name__ = type(step).__name__

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        items = [str(item) for item in batch["item"]]
        return {"item": items, "answer": [self._step(item) for item in items]}


class _Worker(_Doing):
    """The same as an actor, which keeps the step, and with it the model."""


@contextmanager
def ray_cluster(address: str | None = None, workers: int | None = None) -> Iterator[None]:
    """Connect to a cluster for as long as the block takes, or have one on this machine alone.

    Nothing is reported to the makers of Ray, there is no dashboard, and a cluster of this machine
    listens on the loopback interface only. A program that is connected already stays so.

    Parameters
    ----------
    address:
        Of a cluster, as for ``ray.init``; None for one on this machine.
    workers:
        Processors that a cluster of this machine has; by default all.

    Raises
    ------
    TaggerError
        If there is no such cluster, or it cannot be started.
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
    _connect(address, workers)
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None, workers: int | None) -> None:
    import ray

    own: dict[str, Any] = {
        "num_cpus": workers,
        "object_store_memory": _OBJECT_STORE,
        "include_dashboard": False,
    }
    tries = 1 if address else _STARTS
    for left in reversed(range(tries)):
        try:
            with _silence():
                ray.init(
                    address=address or "local",
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                    **({} if address else own),
                )
            return
        except Exception as error:  # that a start took too long, Ray says in just that
            ray.shutdown()
            if not left:
                raise TaggerError(
                    f"Ray cannot be reached ({' '.join(str(error).split())[:300]})",
                    hint="Start a cluster with 'ray start --head', or leave --cluster out for this "
                    "machine alone; if it is very busy, try again",
                ) from error


def device_of_cluster(wanted: str) -> str:
    """Return what encodes on the cluster that is connected: ``cpu`` or ``cuda``.

    Parameters
    ----------
    wanted:
        ``cpu``, ``cuda``, or ``auto`` for GPUs if the cluster has some and ONNX Runtime, as it is
        installed here, can use them.
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


def _set_up() -> None:
    """Keep Ray Data off the terminal, where a progress bar is, and have it replace dead workers."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_consecutive_actor_init_deaths = _RESTARTS
    logging.getLogger("ray.data").setLevel(logging.ERROR)
