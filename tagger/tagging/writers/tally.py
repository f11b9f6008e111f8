"""Count tagged papers while they are written."""

from __future__ import annotations

from collections import Counter

from tagger.papers import TaggedPaper


class Tally:
    """Numbers of tagged papers: in total, to review, by facet and tag, and by model."""

    def __init__(self) -> None:
        self.papers = 0
        self.to_review = 0
        self.tags: dict[str, Counter[str]] = {}
        self.models: Counter[str] = Counter()

    def add(self, paper: TaggedPaper) -> None:
        """Count a paper."""
        self.papers += 1
        self.to_review += paper.review is not None
        self.models[paper.model] += 1
        for facet, tags in paper.tags.items():
            self.tags.setdefault(facet, Counter()).update(tags)
