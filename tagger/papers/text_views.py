"""Text views of a paper as input of the encoder: its title, an excerpt, or the whole text.

Encoding time grows with the length of the text. The title and the sentences about the authors' own
work ("we", "this paper") say most about a paper's contribution, so an excerpt begins with them.
These sentences are found in English; the excerpt of another language is the beginning of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from tagger.papers.paper import Paper

EXCERPT_WORDS = 48
"""About 70 tokens: a quarter of a typical title and abstract."""

_SENTENCE_END = re.compile(
    r"""(?<=[.!?])
    (?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bet\sal\.)(?<!\bcf\.)(?<!\bvs\.)(?<!\bFig\.)(?<!\bw\.r\.t\.)
    \s+(?=["'(\[]?[A-Z0-9])
    """,
    re.VERBOSE,
)
_OWN_WORK = re.compile(
    r"\b(we|our|ours|us|this (paper|work|article|study|survey|review|report|tutorial|chapter"
    r"|position paper))\b",
    re.IGNORECASE,
)


def split_sentences(text: str) -> list[str]:
    """Split a text into sentences, but not after scholarly abbreviations such as "et al."."""
    return [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]


def own_work(paper: Paper) -> str:
    """Return the first sentence of the abstract about the authors' own work, or an empty text."""
    return next(filter(_OWN_WORK.search, split_sentences(paper.abstract)), "")


def title(paper: Paper) -> str:
    """Return the title, or the abstract if there is no title."""
    return replace(paper, abstract="").text or paper.text


def excerpt(paper: Paper) -> str:
    """Return the first 48 words, with the sentences about the authors' own work moved up."""
    if len(paper.text.split()) <= EXCERPT_WORDS:
        return paper.text
    sentences = split_sentences(paper.abstract)
    sentences.sort(key=lambda sentence: not _OWN_WORK.search(sentence))
    words = replace(paper, abstract=" ".join(sentences)).text.split()
    return " ".join(words[:EXCERPT_WORDS])


TEXT_VIEWS: Mapping[str, Callable[[Paper], str]] = {
    "title": title,
    "excerpt": excerpt,
    "whole": lambda paper: paper.text,
}
"""Functions from a paper to a text, by the name of the view, the shortest first."""

EFFORTS: Mapping[str, tuple[str, ...]] = {
    "low": ("excerpt",),
    "balanced": ("title", "excerpt"),
    "full": ("title", "excerpt", "whole"),
}
"""The text views that the encoder reads at each effort; lexical features use the whole text.

The views are an ensemble: a probability is the mean of those by each view (Lakshminarayanan et al.,
"Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles", 2017).
"""
