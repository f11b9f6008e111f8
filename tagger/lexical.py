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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.paper import Paper

Integers = npt.NDArray[np.int64]

_WORD = re.compile(r"\w\w+")
_TITLE_MARK = "title:"


def terms_of(paper: Paper) -> list[str]:
    """Return the words and word pairs of a paper; those of the title stand once more, marked."""
    title = map(_TITLE_MARK.__add__, _words_and_pairs(paper.title))
    return [*_words_and_pairs(paper.text), *title]


def _words_and_pairs(text: str) -> list[str]:
    words = _words(text)
    return [*words, *map(" ".join, pairwise(words))]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


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
    def _numbers(self) -> dict[str, int]:
        """The number of each word in the vocabulary, from 1."""
        words = {word for _, *words in map(_split, self.vocabulary) for word in words}
        return {word: number for number, word in enumerate(sorted(words), start=1)}

    @cached_property
    def _codes(self) -> tuple[Integers, Integers]:
        """The codes of all terms in their order, and the column of each."""
        codes = [
            self._code(marked, *map(self._numbers.__getitem__, words))
            for marked, *words in map(_split, self.vocabulary)
        ]
        order = np.argsort(codes, kind="stable")
        # The last one is that of no term, so that each code has one that is not less.
        found = np.append(np.array(codes, dtype=np.int64)[order], np.iinfo(np.int64).max)
        return found, np.append(order, -1)

    def _code(self, marked: Any, first: Any, second: Any = 0) -> Any:
        """Return the one number that stands for a term; of arrays, an array."""
        base = len(self._numbers) + 1
        return (marked * base + second) * base + first

    def transform(self, papers: Sequence[Paper]) -> npt.NDArray[np.float64]:
        """Return one row of unit length a paper, shape (papers, terms)."""
        rows = np.zeros((len(papers), len(self.vocabulary)))
        row, column = self._find(papers)
        places, counts = np.unique(row * len(self.vocabulary) + column, return_counts=True)
        row, column = np.divmod(places, max(len(self.vocabulary), 1))
        weights = (1 + np.log(counts)) * self.rarity[column]
        lengths = np.sqrt(np.bincount(row, weights**2, minlength=len(papers)))
        rows[row, column] = weights / lengths[row]
        return rows

    def _find(self, papers: Sequence[Paper]) -> tuple[Integers, Integers]:
        """Return row and column of each occurrence of a term, for all papers at once."""
        numbers: list[int] = []
        lengths: list[int] = []
        for paper in papers:
            for text in (paper.text, paper.title):
                before = len(numbers)
                numbers.extend(map(self._numbers.get, _words(text), repeat(0)))
                numbers.append(0)  # no pair goes from text to text
                lengths.append(len(numbers) - before)
        first = np.array(numbers, dtype=np.int64)
        second = np.append(first[1:], 0)
        row, marked = np.divmod(np.repeat(np.arange(len(lengths)), lengths), 2)
        known, columns = self._codes
        found = []
        for there, after in ((first > 0, 0), ((first > 0) & (second > 0), second)):
            code = self._code(marked, first, after)[there]
            place = np.searchsorted(known, code)
            hit = known[place] == code
            found.append((row[there][hit], columns[place[hit]]))
        rows, places = zip(*found, strict=True)
        return np.concatenate(rows), np.concatenate(places)


def _split(term: str) -> tuple[bool, *tuple[str, ...]]:
    """Return whether a term is marked as of a title, and its one or two words."""
    return (term.startswith(_TITLE_MARK), *term.removeprefix(_TITLE_MARK).split(" ", 1))


def fit_lexical_features(papers: Sequence[Paper], min_papers: int = 2) -> LexicalFeatures:
    """Collect the terms that stand in at least ``min_papers`` papers, and their rarity.

    Smoothed inverse document frequency, ``ln((1 + papers) / (1 + papers with the term)) + 1``.
    """
    holders = Counter(term for paper in papers for term in set(terms_of(paper)))
    vocabulary = tuple(sorted(term for term, count in holders.items() if count >= min_papers))
    counts = np.array([holders[term] for term in vocabulary], dtype=np.float64)
    return LexicalFeatures(vocabulary, np.log((1 + len(papers)) / (1 + counts)) + 1)
