"""Which papers each fold of the cross-validation holds out.

A paper keeps the fold that the champion held it out in, whatever was labelled, corrected or removed
since, so that two versions are compared on papers that both held out, in the same folds.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt


def assign_folds(
    ids: Sequence[str],
    strata: Sequence[int],
    folds: int,
    seed: int,
    known: Mapping[str, int] | None = None,
) -> npt.NDArray[np.int_]:
    """Return the fold of each paper, from 0, shape (papers,).

    A new paper, in the order of ``ids``, goes into the fold that has fewest of its stratum so far;
    the seed decides between equals. So its fold depends on the papers before it alone, and on those
    of ``known``, which stay in their folds.
    """
    of_stratum: Counter[tuple[int, int]] = Counter()
    of_fold: Counter[int] = Counter()
    assigned = np.zeros(len(ids), dtype=int)

    def put(row: int, fold: int) -> None:
        assigned[row] = fold
        of_stratum[strata[row], fold] += 1
        of_fold[fold] += 1

    stay = known or {}
    for row, name in enumerate(ids):
        if name in stay:
            put(row, stay[name])
    for row, name in enumerate(ids):
        if name in stay:
            continue
        draw = {
            fold: hashlib.sha256(f"{seed}/{fold}/{name}".encode("utf-8", "replace")).digest()
            for fold in range(folds)
        }
        kind = strata[row]
        put(row, min(draw, key=lambda f: (of_stratum[kind, f], of_fold[f], draw[f])))
    return assigned
