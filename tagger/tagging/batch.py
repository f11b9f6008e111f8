"""Tag papers in memory, one bad paper at no cost to the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tagger.errors import Problem, TaggerError
from tagger.model import ReviewRule, TaggerModel, decide
from tagger.papers import Paper, TaggedPaper


@dataclass(frozen=True, slots=True)
class TaggedBatch:
    """Papers with their tags, or None, and how familiar each that has tags is to the model."""

    papers: list[TaggedPaper | None]
    similarity: list[float]
    problems: list[Problem]


def tag_batch(papers: Sequence[Paper], model: TaggerModel, rule: ReviewRule) -> TaggedBatch:
    """Tag papers in memory; what is said of one does not depend on the others.

    What tagging raises is a problem of the paper, unless it does so for each of several.
    """
    try:
        said = model.predict(papers)
        decisions = decide(papers, said.probabilities, model.taxonomy, model.name, rule)
        similarity = model.reference.similarity_of(said.vectors)
    except TaggerError:
        raise
    except Exception as error:  # whatever a text makes a library raise
        if len(papers) == 1:
            problem = untaggable(papers[0], f"{type(error).__name__}: {error}")
            return TaggedBatch([None], [], [problem])
        each = [tag_batch([paper], model, rule) for paper in papers]
        if all(one.problems for one in each):
            raise
        return TaggedBatch(
            [paper for one in each for paper in one.papers],
            [value for one in each for value in one.similarity],
            [problem for one in each for problem in one.problems],
        )
    return TaggedBatch([*decisions], [float(value) for value in similarity], [])


def untaggable(paper: Paper, reason: str) -> Problem:
    """Return the problem of a paper that cannot be tagged."""
    source = paper.sources[0] if paper.sources else None
    return Problem(source, None, f"'{paper.title[:100]}' cannot be tagged ({reason})")
