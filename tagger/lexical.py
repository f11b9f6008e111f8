"""What a paper says in so many words: TF-IDF of its words and word pairs.

An encoder blurs wording into meaning; set phrases such as "we survey" tell what a paper
contributes, and in a title they weigh more than elsewhere. The features are those of
scikit-learn's ``TfidfVectorizer`` with ``sublinear_tf`` (Manning et al., "Introduction to
Information Retrieval", 2008, section 6.4), counted here in NumPy so that tagging needs no
scikit-learn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt

from tagger.paper import Paper

_WORD = re.compile(r"\w\w+")
_TITLE_MARK = "title:"


def terms_of(paper: Paper) -> list[str]:
    """Return the words and word pairs of a paper; those of the title stand once more, marked."""
    title = map(_TITLE_MARK.__add__, _words_and_pairs(paper.title))
    return [*_words_and_pairs(paper.text), *title]


def _words_and_pairs(text: str) -> Iterator[str]:
    words = _WORD.findall(text.lower())
    return chain(words, map(" ".join, pairwise(words)))


@dataclass(frozen=True)
class LexicalFeatures:
    """TF-IDF over a fixed vocabulary.

    Parameters
    ----------
    vocabulary:
        The terms that count, one a column.
    rarity:
        Inverse document frequency of each term, shape (terms,).
    """

    vocabulary: tuple[str, ...]
    rarity: npt.NDArray[np.float64]

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {term: column for column, term in enumerate(self.vocabulary)}

    def transform(self, papers: Sequence[Paper]) -> npt.NDArray[np.float64]:
        """Return one row of unit length a paper, shape (papers, terms)."""
        rows = np.zeros((len(papers), len(self.vocabulary)))
        for row, paper in zip(rows, papers, strict=True):
            counts = Counter(filter(self._columns.__contains__, terms_of(paper)))
            if counts:
                columns = [self._columns[term] for term in counts]
                weights = (1 + np.log(list(counts.values()))) * self.rarity[columns]
                row[columns] = weights / np.linalg.norm(weights)
        return rows


def fit_lexical_features(papers: Sequence[Paper], min_papers: int = 2) -> LexicalFeatures:
    """Collect the terms that stand in at least ``min_papers`` papers, and their rarity.

    Smoothed inverse document frequency, ``ln((1 + papers) / (1 + papers with the term)) + 1``.
    """
    holders = Counter(term for paper in papers for term in set(terms_of(paper)))
    vocabulary = tuple(sorted(term for term, count in holders.items() if count >= min_papers))
    counts = np.array([holders[term] for term in vocabulary], dtype=np.float64)
    return LexicalFeatures(vocabulary, np.log((1 + len(papers)) / (1 + counts)) + 1)
