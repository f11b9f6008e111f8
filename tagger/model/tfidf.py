"""TF-IDF weights of the words and word pairs of a paper, without scikit-learn.

An encoder represents meaning rather than wording. Set phrases such as "we survey" tell what a paper
contributes, especially in a title. Weights are those of scikit-learn's
``TfidfVectorizer`` with ``analyzer=terms_of`` and ``sublinear_tf`` (Manning et al., "Introduction
to Information Retrieval", 2008, section 6.4), which training uses. Tagging is installed without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.model.cues import Cues, match_cues
from tagger.papers import Paper

_WORD = re.compile(r"\w\w+")
_TITLE_MARK = "title:"


def terms_of(paper: Paper) -> list[str]:
    """Return the words and word pairs of a paper, then those of its title with a prefix."""
    title = map(_TITLE_MARK.__add__, _words_and_pairs(paper.title))
    return [*_words_and_pairs(paper.text), *title]


def _words_and_pairs(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return [*words, *map(" ".join, pairwise(words))]


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
    def _columns(self) -> tuple[dict[Any, int], dict[Any, int]]:
        """Columns by word or pair of words, for terms of the text and for terms of the title."""
        of_texts: dict[Any, int] = {}
        of_titles: dict[Any, int] = {}
        for column, term in enumerate(self.vocabulary):
            words = tuple(term.removeprefix(_TITLE_MARK).split(" "))
            columns = of_titles if term.startswith(_TITLE_MARK) else of_texts
            columns[words if len(words) > 1 else words[0]] = column
        return of_texts, of_titles

    def transform(self, papers: Sequence[Paper]) -> SparseRows:
        """Return the TF-IDF weights of papers in rows of unit length, followed by their cues.

        The shape is (papers, terms + tags with cues). The row of a paper without a term of the
        vocabulary and without cues is zero.
        """
        rows = []
        for paper, cued in zip(papers, match_cues(self.cues, papers), strict=True):
            found: list[int | None] = []
            for text, columns_of in zip((paper.text, paper.title), self._columns, strict=True):
                words = _WORD.findall(text.lower())
                found += map(columns_of.get, (*words, *pairwise(words)))
            known = [column for column in found if column is not None]
            columns, counts = np.unique(np.array(known, dtype=np.int64), return_counts=True)
            weights = (1 + np.log(counts)) * self.idf[columns]
            weights = weights / max(float(np.linalg.norm(weights)), 1e-12)
            present = np.flatnonzero(cued)
            columns = np.concatenate([columns, present + len(self.vocabulary)])
            rows.append((columns, np.concatenate([weights, cued[present]])))
        return SparseRows(rows)
