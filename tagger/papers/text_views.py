"""Text views of a paper, which the encoder reads: its title, an excerpt, or the whole.

The time to encode a text grows with its length. Title and sentences on the authors' own work say
most about a paper's contribution, so an excerpt begins with these. The excerpt is of English; of a
text in another language it is the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from tagger.papers.paper import Paper

EXCERPT_WORDS = 48
"""About 70 tokens: a quarter of a typical title and abstract."""

_SENTENCE_END = re.compile(
    r"""(?<=[.!?])         # after a full stop or the like
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
    """Return the title, or the abstract of a paper without one."""
    return replace(paper, abstract="").text or paper.text


def excerpt(paper: Paper) -> str:
    """Return the first words of title and abstract, sentences on the authors' own work first."""
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
"""The parts of a paper that an encoder can read, by name, the shortest first."""
