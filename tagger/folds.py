"""Which papers each fold of the cross-validation holds out.

A paper keeps its fold when labels are added later, so that two versions are compared on papers
that both of them were denied, in the same company.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def assign_folds(
    ids: Sequence[str], strata: Sequence[int], folds: int, seed: int
) -> npt.NDArray[np.int_]:
    """Put each paper into the fold that has fewest of its kind so far.

    Parameters
    ----------
    ids:
        Of the papers, in the order in which they were labelled.
    strata:
        What kind each is: every fold gets about as many of each.
    folds:
        How many there are.
    seed:
        Decides between folds that are equally short of a paper.

    Returns
    -------
    ndarray
        The fold of each paper, from 0, shape (papers,). That of a paper depends on those before
        it alone.
    """
    of_stratum: Counter[tuple[int, int]] = Counter()
    of_fold: Counter[int] = Counter()
    assigned = np.zeros(len(ids), dtype=int)
    for row, (name, stratum) in enumerate(zip(ids, strata, strict=True)):
        draw = {
            fold: hashlib.sha256(f"{seed}/{fold}/{name}".encode("utf-8", "replace")).digest()
            for fold in range(folds)
        }
        fold = min(draw, key=lambda f: (of_stratum[stratum, f], of_fold[f], draw[f]))
        assigned[row] = fold
        of_stratum[stratum, fold] += 1
        of_fold[fold] += 1
    return assigned
