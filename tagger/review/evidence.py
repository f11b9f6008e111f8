"""The sentences that speak most for the tags of a paper."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from tagger.model import ReviewRule, TaggerModel, explain, most_influential
from tagger.papers import Paper, split_sentences

Evidence = Mapping[str, list[int]]
"""Indices of the sentences for each tag, named ``facet/tag``: 0 is the title."""


def find_evidence(paper: Paper, model: TaggerModel, rule: ReviewRule) -> Evidence:
    """Return the most influential sentences of each suggested or doubtful tag."""
    texts = [paper.title, *split_sentences(paper.abstract)]
    found = {}
    for facet, tags in explain(paper, model, rule).evidence.items():
        for tag, sentences in tags.items():
            strong = {one.sentence for one in most_influential(sentences)}
            found[f"{facet}/{tag}"] = [n for n, text in enumerate(texts) if text in strong]
    return found


def marked_abstract(paper: Paper, evidence: Evidence, tags: Mapping[str, tuple[str, ...]]) -> str:
    """Return the abstract as HTML, with the sentences marked that speak for its ``tags``."""
    reasons: dict[int, list[str]] = {}
    for facet, names in tags.items():
        for name in names:
            for index in evidence.get(f"{facet}/{name}", ()):
                reasons.setdefault(index, []).append(name)
    return " ".join(
        f'<mark title="for {escape(", ".join(reasons[n]))}">{escape(text)}</mark>'
        if n in reasons
        else escape(text)
        for n, text in enumerate(split_sentences(paper.abstract), start=1)
    )
