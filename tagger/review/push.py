"""Push: send the most useful papers to Label Studio, with the model's suggestions.

A push can be repeated at any time: a paper gets at most one task, and the next push completes one
that was interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import nsmallest
from typing import Any

import numpy as np

from tagger._util.arrays import Booleans, Integers
from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError
from tagger.labels import Label, current_labels
from tagger.model import (
    Predictions,
    ReviewRule,
    TaggerModel,
    decide,
    doubtful_tags,
    novelty_reasons,
)
from tagger.papers import KnownPapers, Paper, TaggedPaper
from tagger.review.project import BATCH_SIZE, ReviewProject, ReviewTask
from tagger.review.strategies.base import Pool, Strategy
from tagger.review.strategies.random import random_number
from tagger.review.tasks import BLIND_QUEUES, QUEUES, Queue, make_task
from tagger.taxonomy import Taxonomy

POOL_SIZE = 20_000
"""Maximum number of papers that a strategy chooses from: texts and vectors take about 100 MB."""
_REFRESHED_AT_ONCE = 50
"""Number of tasks that are written before the next ones are read again."""
_NEAREST = " • The nearest labelled paper: "


@dataclass(frozen=True, slots=True)
class PushSettings:
    """How many papers to send, and how to choose them.

    ``budget`` is the number of the pushed papers that should wait for review. An ``audit_share`` of
    the papers is reserved for the audit sample, which measures accuracy without bias; the strategy
    chooses from the others, and over all pushes this share of the tasks is of the sample. With a
    share of 1, only audit tasks are sent and counted. Audit tasks have no suggestions. Of the
    others a ``blind_share`` has none either, to measure anchoring.
    """

    budget: int
    strategy: Strategy
    audit_share: float = 0.1
    blind_share: float = 0.0
    rule: ReviewRule = field(default_factory=ReviewRule)

    @property
    def audit_only(self) -> bool:
        """Whether only papers of the audit sample are sent."""
        return self.audit_share == 1


@dataclass(slots=True)
class PushReport:
    """Result of a push.

    ``candidates`` counts the papers without label and task; if there are more than
    :data:`POOL_SIZE`, the strategy chooses from a random sample of that size. ``waiting`` counts
    the untouched tasks after the push, ``queues`` the new tasks per queue, and ``moved`` the
    waiting tasks that are now of the audit sample. ``problems`` lists tasks that could not be read.
    """

    url: str
    candidates: int = 0
    new: int = 0
    refreshed: int = 0
    moved: int = 0
    waiting: int = 0
    duplicates_removed: int = 0
    queues: dict[str, int] = field(default_factory=dict)
    interface_changes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def push_papers(
    papers: Sequence[Paper],
    model: TaggerModel,
    labels: Sequence[Label],
    project: ReviewProject,
    settings: PushSettings,
    *,
    progress: Progress = no_progress,
    taxonomy: Taxonomy | None = None,
) -> PushReport:
    """Send the most useful unlabelled papers for review, and refresh the tasks that wait.

    Parameters
    ----------
    papers:
        The papers to choose from, without duplicates.
    labels:
        All labels: the strategy does not choose labelled papers. The audit sample is drawn from all
        papers, since without those that a strategy chose it would be too easy: one of these is
        sent again, and a waiting task of one is moved.
    progress:
        Called with the stage, the papers done and the number of papers.
    taxonomy:
        The taxonomy of the labelling interface, by default the model's. A facet that the model
        lacks is shown without a suggestion.

    Raises
    ------
    TaggerError
        If the server fails or the strategy returns invalid indices.
    """
    run = _Push(model, project, taxonomy or model.taxonomy, settings.rule, progress)
    current = current_labels(labels)
    waiting = [task for task in run.waiting if task.queue == "audit" or not settings.audit_only]
    waiting_papers = KnownPapers(task.paper for task in waiting)
    pushed = KnownPapers(paper for paper in papers if paper in waiting_papers)
    count = settings.budget - sum(task.paper in pushed for task in waiting)
    if count > 0:
        known = KnownPapers([label.paper for label in current] + [task.paper for task in run.tasks])
        sample = run.sample(paper for paper in papers if paper not in known)
        reserve = run.reserve(papers, current, settings.audit_share, count)
        run.send(_make_new_tasks(run, sample, reserve, current, settings, count))
    run.refresh()
    return run.finish()


def push_rechecks(
    rechecks: Mapping[Paper, str],
    model: TaggerModel,
    project: ReviewProject,
    *,
    progress: Progress = no_progress,
    taxonomy: Taxonomy | None = None,
) -> PushReport:
    """Send labelled papers, each with a reason, for a second look without suggestions.

    A paper with an open recheck task is not sent again. After a change of the taxonomy, untouched
    tasks are refreshed, and papers rechecked under the old taxonomy may be sent again.
    """
    run = _Push(model, project, taxonomy or model.taxonomy, model.rule(), progress)
    known = KnownPapers(
        task.paper
        for task in run.tasks
        if task.is_recheck and (run.is_current(task) or not (task.done or task.skipped))
    )
    papers = [paper for paper in rechecks if paper not in known]
    decisions = run.decide(papers, model.predict(papers))
    run.send(
        [
            make_task(paper, tagged, run.taxonomy, "recheck", rechecks[paper], shown=False)
            for paper, tagged in zip(papers, decisions, strict=True)
        ]
    )
    if not all(map(run.is_current, run.waiting)):
        run.refresh()
    return run.finish()


class _Push:
    """A push in progress: adapts the interface, then sends and refreshes tasks."""

    def __init__(
        self,
        model: TaggerModel,
        project: ReviewProject,
        taxonomy: Taxonomy,
        rule: ReviewRule,
        progress: Progress,
    ) -> None:
        self.model, self.project, self.taxonomy = model, project, taxonomy
        self.rule, self.progress = rule, progress
        self._report = PushReport(project.url, interface_changes=project.fit_interface(taxonomy))
        tasks, self._report.problems = project.tasks()
        self.tasks = self._without_copies(tasks)
        self.waiting = [task for task in self.tasks if not task.touched]
        self.to_audit: set[int] = set()
        """The waiting tasks to move to the audit sample, by id."""

    def sample(self, papers: Iterable[Paper]) -> list[Paper]:
        """Return the papers to choose from, in order: at most :data:`POOL_SIZE`, at random."""
        numbered = enumerate(map(self._counted, papers))
        chosen = nsmallest(POOL_SIZE, numbered, lambda each: random_number(each[1], "pool"))
        return [paper for _, paper in sorted(chosen, key=lambda each: each[0])]

    def _counted(self, paper: Paper) -> Paper:
        self._report.candidates += 1
        return paper

    def reserve(
        self, papers: Iterable[Paper], labels: Iterable[Label], share: float, count: int
    ) -> list[Paper]:
        """Return the next ``count`` papers of the audit sample, by a hash of the paper.

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
        sent = sum(not task.is_recheck for task in self.tasks)
        before, after = (round(share * tasks, 6) for tasks in (sent, sent + count))
        return math.ceil(after) - math.ceil(before)

    def take_for_audit(self, papers: Sequence[Paper]) -> list[Paper]:
        """Move waiting tasks of these papers to the audit sample; return the other papers."""
        waiting = [task for task in self.waiting if not task.is_recheck]
        taken = KnownPapers(papers)
        self.to_audit = {task.id for task in waiting if task.paper in taken}
        moved = KnownPapers(task.paper for task in waiting if task.id in self.to_audit)
        return [paper for paper in papers if paper not in moved]

    def is_current(self, task: ReviewTask) -> bool:
        return task.meta is not None and task.meta.taxonomy == self.taxonomy.version

    def novelty(self, papers: Sequence[Paper], predictions: Predictions) -> list[str]:
        reference = self.model.reference
        return novelty_reasons(papers, reference.similarity_of(predictions.vectors), reference)

    def decide(self, papers: Sequence[Paper], predictions: Predictions) -> list[TaggedPaper]:
        model, novelty = self.model, self.novelty(papers, predictions)
        probabilities = predictions.probabilities
        return decide(papers, probabilities, model.taxonomy, model.name, self.rule, novelty)

    def reason(self, decision: TaggedPaper, queue: Queue) -> str:
        """Return why a paper is shown, with the confidence of its suggested and doubtful tags."""
        parts = [f"{queue.capitalize()}: {QUEUES[queue]}."]
        for facet in self.model.taxonomy.facets:
            confidence = decision.confidence[facet.name]
            doubtful = doubtful_tags(facet, confidence, self.rule)
            tags = dict.fromkeys((*decision.tags[facet.name], *doubtful))
            if tags:
                shown = ", ".join(f"{tag} {confidence[tag]:.2f}" for tag in tags)
                parts.append(f"{facet.name}: {shown}")
        return " • ".join(parts)

    def send(self, tasks: Sequence[dict[str, Any]]) -> None:
        report = self._report
        for start in range(0, len(tasks), BATCH_SIZE):
            batch = tasks[start : start + BATCH_SIZE]
            self.project.import_tasks(batch)
            report.new += len(batch)
            for task in batch:
                queue = task["meta"]["queue"]
                report.queues[queue] = report.queues.get(queue, 0) + 1
            self.progress("Sending", report.new, len(tasks))
        if any(task["predictions"] for task in tasks):
            self.project.show_predictions_of(self.model.name)

    def refresh(self) -> None:
        """Update the suggestions of untouched tasks to those of the present model."""
        model, report = self.model, self._report
        stale = [
            task
            for task in self.waiting
            if task.id in self.to_audit
            or not (task.meta and self.is_current(task) and task.meta.model == model.name)
        ]
        # Label Studio refuses to show a model without predictions in the project.
        ids = {task.id for task in stale}
        shows = any(task.id not in ids and task.meta.shown for task in self.waiting if task.meta)
        papers = [task.paper for task in stale]
        decisions = self.decide(papers, model.predict(papers))
        renewed = [*zip(stale, map(self._renewed, stale, decisions), strict=True)]
        for start in range(0, len(renewed), _REFRESHED_AT_ONCE):
            batch = renewed[start : start + _REFRESHED_AT_ONCE]
            # Somebody may have begun a task since it was listed.
            untouched = self.project.untouched([task.id for task, _ in batch])
            batch = [(task, new) for task, new in batch if task.id in untouched]
            self.project.replace_predictions({task.id: new["predictions"] for task, new in batch})
            # The metadata is written last: until then the task counts as stale.
            for task, new in batch:
                self.project.update_task(task.id, {**task.data, **new["data"]}, new["meta"])
                report.moved += task.id in self.to_audit
                shows = shows or bool(new["predictions"])
            report.refreshed += len(batch)
            self.progress("Refreshing", start + len(batch), len(renewed))
        if shows:
            self.project.show_predictions_of(model.name)

    def finish(self) -> PushReport:
        report = self._report
        self.project.add_tabs()
        report.waiting = len(self.waiting) + report.new
        if self.project.task_count() != len(self.tasks) + len(report.problems) + report.new:
            # Another push ran at the same time, or the last batch of a killed one arrived late.
            tasks = self._without_copies(self.project.tasks()[0])
            report.waiting = sum(not task.touched for task in tasks)
        return report

    def _without_copies(self, tasks: Sequence[ReviewTask]) -> list[ReviewTask]:
        """Delete untouched tasks of papers that have another task; return the remaining tasks."""
        known = set()
        copies = set()
        for task in sorted(tasks, key=lambda task: (not task.touched, task.id)):
            # These are second tasks on purpose: an audit, and a recheck per taxonomy version.
            again = task.queue if task.queue in BLIND_QUEUES else ""
            key = (task.paper.id, again, task.meta.taxonomy if task.meta and again else "")
            if key in known and not task.touched:
                copies.add(task.id)
            known.add(key)
        self.project.delete_tasks(sorted(copies))
        self._report.duplicates_removed += len(copies)
        return [task for task in tasks if task.id not in copies]

    def _renewed(self, task: ReviewTask, decision: TaggedPaper) -> dict[str, Any]:
        queue = "audit" if task.id in self.to_audit else task.queue or "checked"
        if queue in ("confused", "checked"):
            queue = "confused" if decision.review else "checked"
        reason = str(task.data.get("reason", ""))
        if queue != "recheck":
            _, separator, nearest = reason.partition(_NEAREST)
            reason = self.reason(decision, queue) + separator + nearest
        shown = task.meta.shown if task.meta else True
        return make_task(task.paper, decision, self.taxonomy, queue, reason, shown=shown)


def _make_new_tasks(
    run: _Push,
    sample: Sequence[Paper],
    reserve: Sequence[Paper],
    labels: Sequence[Label],
    settings: PushSettings,
    count: int,
) -> list[dict[str, Any]]:
    """Choose ``count`` papers and make their tasks, most useful first, those to audit last.

    ``sample`` holds the papers without label and task, ``reserve`` those of the audit sample, in
    order.
    """
    model = run.model
    quota = run.audit_quota(settings.audit_share, count)
    audit = run.take_for_audit(reserve[:quota])
    pool = [paper for paper in sample if random_number(paper) >= settings.audit_share]
    candidates = [*pool, *reserve]
    if not candidates:
        return []
    # A title alone is less similar to a paper than its whole text would be.
    labelled = [
        *{one.id: one.paper for one in labels if one.tags and one.text is not None}.values()
    ]
    waiting = [task.paper for task in run.waiting]
    known = model.encode([*labelled, *waiting], partial(run.progress, "Encoding labelled papers"))
    predictions = model.predict(candidates, partial(run.progress, "Tagging"))
    own = predictions.take(np.arange(len(pool)))
    novel = np.array([bool(reason) for reason in run.novelty(pool, own)], dtype=bool)
    chosen = _select(Pool(pool, own, known, model.taxonomy), novel, settings, count - len(audit))
    if len(chosen) == len(pool):
        # The whole pool is sent: so is the reserve.
        spare = KnownPapers(sample)
        left = [paper for paper in reserve[quota:] if paper in spare]
        audit += left[: count - len(audit) - len(chosen)]
    index_of = {paper: index for index, paper in enumerate(candidates)}
    indices = [*chosen, *(index_of[paper] for paper in audit)]
    sent = predictions.take(np.array(indices, dtype=int))
    decisions = run.decide([candidates[index] for index in indices], sent)
    tasks = []
    for index, decision in zip(indices, decisions, strict=True):
        paper = candidates[index]
        queue = settings.strategy.queue or ("confused" if decision.review else "checked")
        if index >= len(pool):
            queue = "audit"
        elif settings.strategy.queue is None and novel[index]:
            queue = "unfamiliar"
        reason = run.reason(decision, queue)
        if queue == "unfamiliar" and labelled:
            nearest = int((known[: len(labelled)] @ predictions.vectors[index]).argmax())
            reason += f"{_NEAREST}“{labelled[nearest].title}”."
        shown = random_number(paper, "blind") >= settings.blind_share
        tasks.append(make_task(paper, decision, run.taxonomy, queue, reason, shown=shown))
    return tasks


def _select(pool: Pool, novel: Booleans, settings: PushSettings, count: int) -> list[int]:
    """Return the indices of at most ``count`` papers of the pool; ``novel`` is a mask of them."""
    candidates: Integers = np.arange(len(pool.papers))
    if settings.rule.accept:
        # With a precision target, only papers that 'tagger tag' sends to review are candidates.
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
