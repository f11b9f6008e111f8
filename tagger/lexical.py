"""TF-IDF weights of the words and word pairs of a paper, without scikit-learn.

An encoder blurs wording into meaning; set phrases such as "we survey" tell what a paper
contributes, and in a title they weigh more than elsewhere. Weights are those of scikit-learn's
``TfidfVectorizer`` with ``analyzer=terms_of`` and ``sublinear_tf`` (Manning et al., "Introduction
to Information Retrieval", 2008, section 6.4), which training uses; tagging does without it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tagger.paper import Paper

_WORD = re.compile(r"\w\w+")
_TITLE_MARK = "title:"


def terms_of(paper: Paper) -> list[str]:
    """Return the words and word pairs of a paper, then those of its title again, marked."""
    title = map(_TITLE_MARK.__add__, _words_and_pairs(paper.title))
    return [*_words_and_pairs(paper.text), *title]


def _words_and_pairs(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return [*words, *map(" ".join, pairwise(words))]


@dataclass(frozen=True)
class SparseRows:
    """A matrix of which each row is given by the columns and values that are not zero."""

    rows: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]

    def __matmul__(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the product with a matrix, as a dense array of one row a row."""
        product = np.zeros((len(self.rows), matrix.shape[1]))
        for row, (columns, values) in enumerate(self.rows):
            product[row] = values @ matrix[columns]
        return product


@dataclass(frozen=True)
class LexicalFeatures:
    """TF-IDF over a fixed vocabulary, one column a term; ``idf`` has shape (terms,)."""

    vocabulary: tuple[str, ...]
    idf: npt.NDArray[np.float64]

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {term: column for column, term in enumerate(self.vocabulary)}

    def transform(self, papers: Sequence[Paper]) -> SparseRows:
        """Return one row of unit length a paper; of zeros, if it has no term of the vocabulary."""
        return SparseRows([self._row(paper) for paper in papers])

    def _row(self, paper: Paper) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        found = Counter(map(self._columns.get, terms_of(paper)))
        del found[None]
        columns = np.fromiter(found.keys(), dtype=np.int64, count=len(found))
        counts = np.fromiter(found.values(), dtype=np.float64, count=len(found))
        weights = (1 + np.log(counts)) * self.idf[columns]
        return columns, weights / max(float(np.linalg.norm(weights)), 1e-12)
