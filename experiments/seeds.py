"""Run a measurement with several seeds, one after the other or beside each other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def for_each_seed(measure: Callable[[int], Result], seeds: int, jobs: int) -> list[Result]:
    """Return what is measured with seeds from 0.

    Parameters
    ----------
    measure:
        Called with a seed; of a module's top level where ``jobs`` is more than one.
    seeds:
        How many.
    jobs:
        How many at a time, each on one core; a single one has them all.
    """
    if jobs == 1:
        return list(map(measure, range(seeds)))
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=fresh, initializer=_on_one_core) as pool:
        return list(pool.map(measure, range(seeds)))


def _on_one_core() -> None:
    import torch

    torch.set_num_threads(1)
