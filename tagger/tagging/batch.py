"""Tag papers in memory. A paper that cannot be tagged does not stop the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tagger.errors import Problem, TaggerError
from tagger.model import ReviewRule, TaggerModel
from tagger.papers import Paper, TaggedPaper


@dataclass(frozen=True, slots=True)
class TaggedBatch:
    """The result of tagging a batch.

    ``papers`` has None for each paper that cannot be tagged. ``similarity`` is the similarity to
    the training set of each paper that was tagged, in the same order. ``problems`` has the reasons
    why the others cannot be tagged.
    """

    papers: list[TaggedPaper | None]
    similarity: list[float]
    problems: list[Problem]


def tag_batch(papers: Sequence[Paper], model: TaggerModel, rule: ReviewRule) -> TaggedBatch:
    """Tag papers in memory; the tags of a paper do not depend on the other papers.

    If a batch raises an exception, its papers are tagged one by one, and an exception of one paper
    becomes a problem. It is raised if every one of several papers fails, as is any TaggerError.
    """
    try:
        predictions = model.predict(papers)
        similarity = model.reference.similarity_of(predictions.vectors)
        tagged = model.decide(papers, predictions, rule, similarity)
    except TaggerError:
        raise
    except Exception as error:  # a text may make a library raise any exception
        if len(papers) == 1:
            problem = untaggable(papers[0], f"{type(error).__name__}: {error}")
            return TaggedBatch([None], [], [problem])
        batches = [tag_batch([paper], model, rule) for paper in papers]
        if all(batch.problems for batch in batches):
            raise
        return TaggedBatch(
            [paper for batch in batches for paper in batch.papers],
            [value for batch in batches for value in batch.similarity],
            [problem for batch in batches for problem in batch.problems],
        )
    return TaggedBatch([*tagged], [float(value) for value in similarity], [])


def untaggable(paper: Paper, reason: str) -> Problem:
    """Return the problem of a paper that cannot be tagged."""
    source = paper.sources[0] if paper.sources else None
    return Problem(source, None, f"'{paper.title[:100]}' cannot be tagged ({reason})")
