"""Find novel papers: those unlike the training set of a model, or in another script."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from tagger._util.arrays import Floats
from tagger.model.training_reference import Reference
from tagger.papers import Paper

_NOVEL_QUANTILE = 0.02
"""Share of the labelled papers that count as novel: the least similar to the others."""
_KNOWN_SHARE = 0.01
"""A script is known if the titles of the labelled papers have this share of their letters in it."""
_LETTERS = 500


def novelty_reasons(papers: Sequence[Paper], similarity: Floats, reference: Reference) -> list[str]:
    """Return for each paper why it is novel, or an empty text.

    ``similarity`` is that of :meth:`Reference.similarity_of`, shape (papers,). The test is that of
    conformal novelty detection at level 0.02 (Laxhammar and Falkman, 2010): a paper is new if it is
    less similar to the training set than nearly all labelled papers were when they were held out.
    """
    if not reference.ids:
        return [""] * len(papers)
    least = np.quantile(reference.similarity, _NOVEL_QUANTILE)
    known = _scripts_of(reference.titles)
    reasons = []
    for paper, near in zip(papers, similarity, strict=True):
        scripts = _count_scripts([paper.text[:_LETTERS]])
        if sum(scripts[name] for name in known) < scripts.total() / 2:
            reasons.append("in another script than the labelled papers")
        elif near < least:
            reasons.append(f"unlike the labelled papers (similarity {near:.2f})")
        else:
            reasons.append("")
    return reasons


@lru_cache(maxsize=4)
def _scripts_of(titles: tuple[str, ...]) -> frozenset[str]:
    scripts = _count_scripts(titles)
    return frozenset(
        name for name, count in scripts.items() if count >= _KNOWN_SHARE * scripts.total()
    )


def _count_scripts(texts: Iterable[str]) -> Counter[str]:
    return Counter(_script(letter) for text in texts for letter in text if letter.isalpha())


@lru_cache(maxsize=2**14)
def _script(letter: str) -> str:
    """Return the script of a letter: the first word of its name in Unicode, as in LATIN or CJK."""
    return unicodedata.name(letter, "?").split()[0]
