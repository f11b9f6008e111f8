"""TF-IDF weights of the words and word pairs of a paper, without scikit-learn.

An encoder represents meaning rather than wording. Set phrases such as "we survey" tell what a paper
contributes, especially in the title and in the first sentence about the authors' own work. Weights
are those of scikit-learn's ``TfidfVectorizer`` with ``analyzer=terms_of`` and ``sublinear_tf``
(Manning et al., "Introduction to Information Retrieval", 2008, section 6.4), which training uses.
A light install does not have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.model.cues import Cues, match_cues
from tagger.papers import Paper, own_work

_WORD = re.compile(r"\w\w+")
_OWN_MARK = "own:"
_PARTS: Mapping[str, Callable[[Paper], str]] = {
    "": lambda paper: paper.text,
    "title:": lambda paper: paper.title,
    _OWN_MARK: own_work,
}
"""Parts of a paper, by the prefix of their terms."""
OWN_LENGTH = 0.5
"""Length of a row's part for the sentence about the authors' own work; the rest has length 1."""


def terms_of(paper: Paper) -> list[str]:
    """Return the words and word pairs of a paper, then, with prefixes, those of two parts.

    The parts are the title, and the first sentence about the authors' own work.
    """
    parts = [(mark, _words(part(paper))) for mark, part in _PARTS.items()]
    return [
        mark + term for mark, words in parts for term in (*words, *map(" ".join, pairwise(words)))
    ]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class SparseRows:
    """A sparse matrix: for each row, the columns and the values that are not zero."""

    rows: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]

    def __matmul__(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the product with a dense matrix, shape (rows, columns of ``matrix``)."""
        product = np.zeros((len(self.rows), matrix.shape[1]))
        for row, (columns, values) in enumerate(self.rows):
            product[row] = values @ matrix[columns]
        return product


@dataclass(frozen=True)
class LexicalFeatures:
    """TF-IDF over a fixed vocabulary, one column a term; ``idf`` has shape (terms,).

    Further columns are those of :func:`tagger.model.cues.match_cues`.
    """

    vocabulary: tuple[str, ...]
    idf: npt.NDArray[np.float64]
    cues: Cues = ()

    @cached_property
    def _columns(self) -> dict[str, dict[Any, int]]:
        """Columns by word or pair of words, for the terms of each part."""
        found: dict[str, dict[Any, int]] = {mark: {} for mark in _PARTS}
        for column, term in enumerate(self.vocabulary):
            mark = next((mark for mark in _PARTS if mark and term.startswith(mark)), "")
            words = tuple(term.removeprefix(mark).split(" "))
            found[mark][words if len(words) > 1 else words[0]] = column
        return found

    @property
    def size(self) -> int:
        """Number of features."""
        return len(self.vocabulary) + len(self.cues)

    @cached_property
    def of_own_work(self) -> npt.NDArray[np.bool_]:
        """The features of the sentence about the authors' own work, shape (features,)."""
        marked = [term.startswith(_OWN_MARK) for term in self.vocabulary]
        return np.array([*marked, *(False for _ in self.cues)], dtype=bool)

    def transform(self, papers: Sequence[Paper]) -> SparseRows:
        """Return the TF-IDF weights of papers, followed by their cues.

        The shape is (papers, terms + tags with cues). The terms of the sentence about the authors'
        own work have the length :data:`OWN_LENGTH` in a row, the others length 1. The row of a
        paper without a term of the vocabulary and without cues is zero.
        """
        rows = []
        for paper, cued in zip(papers, match_cues(self.cues, papers), strict=True):
            found: list[int | None] = []
            for mark, columns_of in self._columns.items():
                words = _words(_PARTS[mark](paper)) if columns_of else []
                found += map(columns_of.get, (*words, *pairwise(words)))
            known = [column for column in found if column is not None]
            columns, counts = np.unique(np.array(known, dtype=np.int64), return_counts=True)
            weights = (1 + np.log(counts)) * self.idf[columns]
            own = self.of_own_work[columns]
            for part, length in ((~own, 1.0), (own, OWN_LENGTH)):
                weights[part] *= length / max(float(np.linalg.norm(weights[part])), 1e-12)
            present = np.flatnonzero(cued)
            columns = np.concatenate([columns, present + len(self.vocabulary)])
            rows.append((columns, np.concatenate([weights, cued[present]])))
        return SparseRows(rows)
