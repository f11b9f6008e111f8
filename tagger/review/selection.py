"""Choose the papers that are most worth a reviewer's time, and those of the audit sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import nsmallest
from typing import NamedTuple

import numpy as np

from tagger._util.arrays import Booleans, Integers
from tagger._util.progress import Progress
from tagger.errors import TaggerError
from tagger.labels import Label, current_labels
from tagger.model import ReviewRule, TaggerModel, novelty_reasons
from tagger.papers import KnownPapers, Paper, TaggedPaper
from tagger.review.project import ReviewTask
from tagger.review.strategies.base import Pool, Strategy
from tagger.review.strategies.random import random_number
from tagger.review.tasks import BLIND_QUEUES, QUEUES, Queue

POOL_SIZE = 20_000
"""Maximum number of papers that a strategy chooses from: texts and vectors take about 100 MB."""
_LONGEST_EXPLAINED = 5_000
"""Characters of an abstract: a paper of n sentences is tagged n times to explain it."""
NEAREST = " • The nearest labelled paper: "


@dataclass(frozen=True, slots=True)
class PushSettings:
    """How many papers to send, and how to choose them.

    ``budget`` is the number of papers that should wait for review after the push. An
    ``audit_share`` of the papers is reserved for the audit sample, which measures accuracy without
    bias. The strategy chooses from the other papers. Over all pushes, the same share of the tasks
    belongs to the sample. With a share of 1, only audit tasks are sent and counted. Audit tasks
    have no suggestions, nor has a ``blind_share`` of the others, to measure anchoring. With
    ``doubtful_only``, the strategy chooses from the papers that ``rule`` marks for review.
    """

    budget: int
    strategy: Strategy
    audit_share: float = 0.1
    blind_share: float = 0.0
    rule: ReviewRule = field(default_factory=ReviewRule)
    doubtful_only: bool = False


class ChosenPaper(NamedTuple):
    """A paper to review, with the tags of the model, and whether the reviewer sees them."""

    paper: Paper
    decision: TaggedPaper
    queue: Queue
    reason: str
    shown: bool

    @property
    def explained(self) -> bool:
        """Whether the sentences that speak for its tags are marked."""
        return self.shown and len(self.paper.abstract) <= _LONGEST_EXPLAINED


class Selection:
    """Chooses papers to review, given the tasks that were made before.

    After :meth:`choose`, ``candidates`` is the number of papers without label and task, and
    ``to_audit`` holds the ids of the waiting tasks that are to move to the audit sample.
    """

    def __init__(
        self,
        model: TaggerModel,
        tasks: Sequence[ReviewTask],
        rule: ReviewRule,
        progress: Progress,
    ) -> None:
        self.model, self.tasks, self.rule, self._progress = model, tasks, rule, progress
        self.waiting = [task for task in tasks if not task.touched]
        self.to_audit: set[int] = set()
        self.candidates = 0

    def choose(
        self, papers: Sequence[Paper], labels: Sequence[Label], settings: PushSettings
    ) -> list[ChosenPaper]:
        """Choose papers until the budget of the settings is reached, those to audit last."""
        current = current_labels(labels)
        waiting = [
            task for task in self.waiting if task.queue == "audit" or settings.audit_share < 1
        ]
        waiting_papers = KnownPapers(task.paper for task in waiting)
        pushed = KnownPapers(paper for paper in papers if paper in waiting_papers)
        count = settings.budget - sum(task.paper in pushed for task in waiting)
        if count <= 0:
            return []
        known = KnownPapers(
            [label.paper for label in current] + [task.paper for task in self.tasks]
        )
        sample = self._sample(paper for paper in papers if paper not in known)
        reserve = self._reserve(papers, current, settings.audit_share, count)
        return self._choose(sample, reserve, current, settings, count)

    def _sample(self, papers: Iterable[Paper]) -> list[Paper]:
        """Return the papers to choose from, in order: at most :data:`POOL_SIZE`, at random."""
        numbered = enumerate(map(self._counted, papers))
        chosen = nsmallest(POOL_SIZE, numbered, lambda each: random_number(each[1], "pool"))
        return [paper for _, paper in sorted(chosen, key=lambda each: each[0])]

    def _counted(self, paper: Paper) -> Paper:
        self.candidates += 1
        return paper

    def _reserve(
        self, papers: Iterable[Paper], labels: Iterable[Label], share: float, count: int
    ) -> list[Paper]:
        """Return the next ``count`` papers of the audit sample, by a hash of the title.

        The sample depends on nothing else, so that it is uniform and later pushes continue it. Seed
        labels are of papers that did not arrive.
        """
        drawn = [task.paper for task in self.tasks if task.queue == "audit"]
        for label in labels:
            if label.audited or not label.arrived or label.outcome == "not-a-paper":
                drawn.append(label.paper)
        known = KnownPapers(drawn)
        left = (paper for paper in papers if random_number(paper) < share and paper not in known)
        return nsmallest(count, left, random_number)

    def audit_quota(self, share: float, count: int) -> int:
        """Return the number of audit tasks among the next ``count``, to keep the share overall."""
        sent = sum(task.queue != "recheck" for task in self.tasks)
        before, after = (round(share * tasks, 6) for tasks in (sent, sent + count))
        return math.ceil(after) - math.ceil(before)

    def _take_for_audit(self, papers: Sequence[Paper]) -> list[Paper]:
        """Move waiting tasks of these papers to the audit sample; return the other papers."""
        waiting = [task for task in self.waiting if task.queue != "recheck"]
        taken = KnownPapers(papers)
        self.to_audit = {task.id for task in waiting if task.paper in taken}
        moved = KnownPapers(task.paper for task in waiting if task.id in self.to_audit)
        return [paper for paper in papers if paper not in moved]

    def decide(self, papers: Sequence[Paper]) -> list[TaggedPaper]:
        """Return papers with the tags of the model by the rule of this selection."""
        return self.model.decide(papers, self.model.predict(papers), self.rule)

    def _choose(
        self,
        sample: Sequence[Paper],
        reserve: Sequence[Paper],
        labels: Sequence[Label],
        settings: PushSettings,
        count: int,
    ) -> list[ChosenPaper]:
        """Choose ``count`` papers, most useful first, those to audit last.

        ``sample`` holds the papers without label and task, ``reserve`` those of the audit sample,
        in order.
        """
        model = self.model
        quota = self.audit_quota(settings.audit_share, count)
        audit = self._take_for_audit(reserve[:quota])
        pool = [paper for paper in sample if random_number(paper) >= settings.audit_share]
        candidates = [*pool, *reserve]
        if not candidates:
            return []
        # A title alone is less similar to a paper than its whole text would be.
        labelled = [
            *{one.id: one.paper for one in labels if one.tags and one.text is not None}.values()
        ]
        # Only the pool is compared with them.
        others = [*labelled, *(task.paper for task in self.waiting)] if pool else []
        known = model.encode(others, partial(self._progress, "Encoding labelled papers"))
        predictions = model.predict(candidates, partial(self._progress, "Tagging"))
        own = predictions.take(np.arange(len(pool)))
        similarity = model.reference.similarity_of(predictions.vectors)
        reasons = novelty_reasons(pool, similarity[: len(pool)], model.reference)
        novel = np.array([bool(reason) for reason in reasons], dtype=bool)
        pooled = Pool(pool, own, known, model.taxonomy)
        chosen = _select(pooled, novel, settings, count - len(audit))
        if len(chosen) == len(pool):
            # The whole pool is sent: so is the reserve.
            spare = KnownPapers(sample)
            left = [paper for paper in reserve[quota:] if paper in spare]
            audit += left[: count - len(audit) - len(chosen)]
        index_of = {paper: index for index, paper in enumerate(candidates)}
        indices = [*chosen, *(index_of[paper] for paper in audit)]
        sent: Integers = np.array(indices, dtype=int)
        to_send = [candidates[index] for index in indices]
        decisions = model.decide(to_send, predictions.take(sent), self.rule, similarity[sent])
        papers = []
        for index, paper, decision in zip(indices, to_send, decisions, strict=True):
            queue = settings.strategy.queue or ("confused" if decision.review else "checked")
            if index >= len(pool):
                queue = "audit"
            elif settings.strategy.queue is None and novel[index]:
                queue = "unfamiliar"
            reason = reason_of(queue)
            if queue == "unfamiliar" and labelled:
                nearest = int((known[: len(labelled)] @ predictions.vectors[index]).argmax())
                reason += f"{NEAREST}“{labelled[nearest].title}”."
            blind = queue in BLIND_QUEUES or random_number(paper, "blind") < settings.blind_share
            papers.append(ChosenPaper(paper, decision, queue, reason, not blind))
        return papers


def reason_of(queue: Queue) -> str:
    """Return why the papers of a queue are shown."""
    return f"{queue.capitalize()}: {QUEUES[queue]}."


def _select(pool: Pool, novel: Booleans, settings: PushSettings, count: int) -> list[int]:
    """Return the indices of at most ``count`` papers of the pool; ``novel`` is a mask of them."""
    candidates: Integers = np.arange(len(pool.papers))
    if settings.doubtful_only:
        probabilities = pool.predictions.probabilities
        doubts = [settings.rule.doubts(f, probabilities[f.name]) for f in pool.taxonomy.facets]
        candidates = np.flatnonzero(np.any([novel, *doubts], axis=0))
    if not len(candidates):
        return []
    selected = settings.strategy.select(pool.take(candidates), count)
    if len({*selected} & {*range(len(candidates))}) < len(selected):
        strategy = type(settings.strategy).__name__
        raise TaggerError(f"the strategy {strategy} returned an index twice or out of range")
    return [int(candidates[index]) for index in selected[:count]]
