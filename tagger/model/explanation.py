"""Explain the tags of a paper by its most influential sentences and the nearest labelled papers.

The influence of a sentence on a tag is the loss of probability without it: leave-one-out importance
as in Li et al., "Understanding Neural Networks through Representation Erasure" (2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from tagger._util.arrays import Vectors
from tagger._util.progress import StepProgress
from tagger.model.decision import ReviewRule, doubtful_tags
from tagger.model.model import TaggerModel
from tagger.papers import KnownPapers, Paper, TaggedPaper, split_sentences

_NEIGHBOURS = 3
_MOST_SENTENCES = 3
_LEAST_CHANGE = 0.005


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence or the title, and the probability of a tag with and without it."""

    sentence: str
    confidence: float
    without: float

    @property
    def change(self) -> float:
        """The influence of the sentence; negative if the tag is more likely without it."""
        return self.confidence - self.without


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A labelled paper, its tags per facet, and its cosine similarity to the explained paper."""

    id: str
    title: str
    tags: dict[str, tuple[str, ...]]
    similarity: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The reasons for the tags of a paper.

    ``evidence`` holds all sentences, the most influential first, per facet and predicted or
    uncertain tag. ``neighbours`` are the nearest other labelled papers, the nearest first.
    """

    decision: TaggedPaper
    evidence: dict[str, dict[str, tuple[Evidence, ...]]]
    neighbours: tuple[Neighbour, ...]

    def as_row(self) -> dict[str, Any]:
        """Return the explanation as one JSON object: the line of ``tags.jsonl`` and the reasons."""
        return {
            **self.decision.as_row(),
            "evidence": {
                facet: {
                    tag: [{**asdict(one), "change": round(one.change, 4)} for one in sentences]
                    for tag, sentences in tags.items()
                }
                for facet, tags in self.evidence.items()
            },
            "neighbours": [asdict(neighbour) for neighbour in self.neighbours],
        }


def explain(
    paper: Paper, model: TaggerModel, rule: ReviewRule, progress: StepProgress | None = None
) -> Explanation:
    """Explain the tags of a paper; a paper of n sentences is tagged n + 2 times."""
    sentences = split_sentences(paper.abstract)
    variants = [paper, replace(paper, title="")]
    for left_out in range(len(sentences)):
        kept = sentences[:left_out] + sentences[left_out + 1 :]
        variants.append(replace(paper, abstract=" ".join(kept)))
    predictions = model.predict(variants, progress)
    probabilities = predictions.probabilities
    [decision] = model.decide([paper], predictions.take(np.arange(1)), rule)
    evidence: dict[str, dict[str, tuple[Evidence, ...]]] = {}
    for facet in model.taxonomy.facets:
        doubted = doubtful_tags(facet, decision.confidence[facet.name], rule)
        evidence[facet.name] = {}
        for tag in dict.fromkeys([*decision.tags[facet.name], *doubted]):
            column = probabilities[facet.name][:, facet.tag_names.index(tag)]
            found = [
                Evidence(text, round(float(column[0]), 4), round(float(without), 4))
                for text, without in zip([paper.title, *sentences], column[1:], strict=True)
            ]
            evidence[facet.name][tag] = tuple(sorted(found, key=lambda one: one.without))
    return Explanation(decision, evidence, _neighbours(paper, predictions.vectors[0], model))


def most_influential(sentences: Sequence[Evidence]) -> list[Evidence]:
    """Return the most influential sentences: at most 3, each of influence 0.005 or more."""
    return [one for one in sentences if one.change >= _LEAST_CHANGE][:_MOST_SENTENCES]


def _neighbours(paper: Paper, vector: Vectors, model: TaggerModel) -> tuple[Neighbour, ...]:
    reference, itself, found = model.reference, KnownPapers([paper]), []
    cosines = reference.vectors @ vector
    # One more than needed, because the paper itself may be among them.
    for row in np.argsort(-cosines, kind="stable")[: _NEIGHBOURS + 1]:
        name, title = reference.ids[row], reference.titles[row]
        if Paper(title, "", id=name) in itself:
            continue
        tags = {
            facet.name: tuple(np.array(facet.tag_names)[reference.y_true[facet.name][row]].tolist())
            for facet in model.taxonomy.facets
            if reference.annotated[facet.name][row]
        }
        found.append(Neighbour(name, title, tags, round(float(cosines[row]), 4)))
    return tuple(found[:_NEIGHBOURS])
