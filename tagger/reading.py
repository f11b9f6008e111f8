"""How much of a paper the encoder reads: its title, an excerpt, or the whole.

Reading costs in proportion to length. Most of what tells what a paper contributes stands in its
title and in the sentences in which the authors speak of their own work, so these come first in an
excerpt. The excerpt is of English; in a text of another language it is the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from tagger.paper import Paper

EXCERPT_WORDS = 48
"""About 70 tokens: a quarter of a usual title and abstract."""

_SENTENCE_END = re.compile(
    r"""(?<=[.!?])         # after a full stop, or the like
    (?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bet\sal\.)(?<!\bcf\.)(?<!\bvs\.)(?<!\bFig\.)(?<!\bw\.r\.t\.)
    \s+(?=["'(\[]?[A-Z0-9])  # a sentence begins
    """,
    re.VERBOSE,
)
_OWN_WORK = re.compile(
    r"\b(we|our|ours|us|this (paper|work|article|study|survey|review|report|tutorial|chapter"
    r"|position paper))\b",
    re.IGNORECASE,
)


def split_sentences(text: str) -> list[str]:
    """Split a text into sentences; abbreviations of scholarly prose end none."""
    return [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]


def title(paper: Paper) -> str:
    """Return the title, or what there is of a paper without one."""
    return replace(paper, abstract="").text or paper.text


def excerpt(paper: Paper) -> str:
    """Return the first words of title and abstract, sentences on the authors' own work first."""
    if len(paper.text.split()) <= EXCERPT_WORDS:
        return paper.text
    sentences = split_sentences(paper.abstract)
    sentences.sort(key=lambda sentence: not _OWN_WORK.search(sentence))
    words = replace(paper, abstract=" ".join(sentences)).text.split()
    return " ".join(words[:EXCERPT_WORDS])


def whole(paper: Paper) -> str:
    """Return title and abstract."""
    return paper.text


READINGS: Mapping[str, Callable[[Paper], str]] = {
    "title": title,
    "excerpt": excerpt,
    "whole": whole,
}
"""What of a paper is read, by the name of the reading, the shortest first."""
