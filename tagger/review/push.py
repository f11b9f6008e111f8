"""Push: send the most useful papers to Label Studio, with the model's suggestions.

A push can be repeated at any time: a paper gets at most one task, and the next push completes one
that was interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Any

import numpy as np

from tagger._util.arrays import Floats
from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError
from tagger.labels import Label, current_labels
from tagger.model import ReviewRule, TaggerModel, decide, doubtful_tags
from tagger.papers import KnownPapers, Paper, TaggedPaper
from tagger.review.project import BATCH_SIZE, ReviewProject, ReviewTask
from tagger.review.strategies.base import Pool, Strategy, similarity_to_nearest
from tagger.review.strategies.random import random_number
from tagger.review.tasks import QUEUES, Queue, make_task
from tagger.taxonomy import Taxonomy

POOL_SIZE = 20_000
"""Maximum number of papers that a strategy chooses from: texts and vectors take about 100 MB."""
_NOVELTY_LEVEL = 0.05
_NEAREST = " • The nearest labelled paper: "


@dataclass(frozen=True, slots=True)
class PushSettings:
    """How many papers to send, and how to choose them.

    ``budget`` is the number of the pushed papers that should wait for review. A ``random_share`` of
    the papers is reserved for a random sample, which measures accuracy without bias; the strategy
    chooses from the others, and each push takes this share of its budget from the sample. A
    ``blind_share`` of the papers is sent without suggestions, to measure anchoring.
    """

    budget: int
    strategy: Strategy
    random_share: float = 0.1
    blind_share: float = 0.0
    rule: ReviewRule = field(default_factory=ReviewRule)


@dataclass(slots=True)
class PushReport:
    """Result of a push.

    ``candidates`` counts the papers without label and task; if there are more than
    :data:`POOL_SIZE`, the strategy chooses from a random sample of that size. ``waiting`` counts
    the untouched tasks after the push, ``queues`` the new tasks per queue, and ``problems`` lists
    tasks that could not be read.
    """

    url: str
    candidates: int = 0
    new: int = 0
    refreshed: int = 0
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
        All labels: labelled papers are not sent.
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
    known = KnownPapers([label.paper for label in current] + [task.paper for task in run.tasks])
    waiting = KnownPapers(task.paper for task in run.waiting)
    pushed = KnownPapers(paper for paper in papers if paper in waiting)
    count = settings.budget - sum(task.paper in pushed for task in run.waiting)
    new = run.sample(paper for paper in papers if paper not in known) if count > 0 else []
    if new:
        # A title alone is less similar to a paper than its whole text would be.
        whole = [label for label in current if label.tags and label.text is not None]
        labelled = [*{label.id: label.paper for label in whole}.values()]
        run.send(_make_new_tasks(run, new, labelled, settings, count))
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
    decisions = run.decide(papers, model.predict_proba(papers))
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
        self.rule, self._progress = rule, progress
        self._report = PushReport(project.url, interface_changes=project.fit_interface(taxonomy))
        tasks, self._report.problems = project.tasks()
        self.tasks = self._without_copies(tasks)
        self.waiting = [task for task in self.tasks if not task.touched]

    def sample(self, papers: Iterable[Paper]) -> list[Paper]:
        """Return the papers to choose from, in order: at most :data:`POOL_SIZE`, at random."""
        numbered = enumerate(map(self._counted, papers))
        chosen = nsmallest(POOL_SIZE, numbered, lambda each: random_number(each[1], "pool"))
        return [paper for _, paper in sorted(chosen, key=lambda each: each[0])]

    def _counted(self, paper: Paper) -> Paper:
        self._report.candidates += 1
        return paper

    def is_current(self, task: ReviewTask) -> bool:
        return task.meta is not None and task.meta.taxonomy == self.taxonomy.version

    def stage(self, name: str) -> Callable[[int, int], None]:
        return lambda done, total: self._progress(name, done, total)

    def decide(
        self, papers: Sequence[Paper], probabilities: Mapping[str, Floats]
    ) -> list[TaggedPaper]:
        return decide(papers, probabilities, self.model.taxonomy, self.model.name, self.rule)

    def reason(self, decision: TaggedPaper, queue: Queue) -> str:
        """Return why a paper is shown, with the definitions of the doubtful tags."""
        sentences = [f"{queue.capitalize()}: {QUEUES[queue]}."]
        if queue in ("confused", "unfamiliar"):
            for facet in self.model.taxonomy.facets:
                confidence = decision.confidence[facet.name]
                tags = self.taxonomy.facet(facet.name).tags
                definitions = {tag.name: tag.definition for tag in tags}
                for tag in doubtful_tags(facet, confidence, self.rule):
                    sentences.append(f"{tag} {confidence[tag]:.2f}: {definitions[tag]}")
        return " • ".join(sentences)

    def send(self, tasks: Sequence[dict[str, Any]]) -> None:
        report = self._report
        for start in range(0, len(tasks), BATCH_SIZE):
            batch = tasks[start : start + BATCH_SIZE]
            self.project.import_tasks(batch)
            report.new += len(batch)
            for task in batch:
                queue = task["data"]["queue"]
                report.queues[queue] = report.queues.get(queue, 0) + 1
            self._progress("Sending", report.new, len(tasks))
        if any(task["predictions"] for task in tasks):
            self.project.show_predictions_of(self.model.name)

    def refresh(self) -> None:
        """Update the suggestions of untouched tasks to those of the present model."""
        model, report = self.model, self._report
        stale = [
            task
            for task in self.waiting
            if not (task.meta and self.is_current(task) and task.meta.model == model.name)
        ]
        papers = [task.paper for task in stale]
        decisions = self.decide(papers, model.predict_proba(papers))
        # Somebody may have begun a task while its paper was tagged.
        current = self.project.tasks()[0] if stale else []
        untouched = {task.id for task in current if not task.touched}
        renewed = [
            (task, self._renewed(task, decision))
            for task, decision in zip(stale, decisions, strict=True)
            if task.id in untouched
        ]
        for start in range(0, len(renewed), BATCH_SIZE):
            batch = renewed[start : start + BATCH_SIZE]
            self.project.replace_predictions(
                {task.id: prediction for task, new in batch for prediction in new["predictions"]}
            )
            # The metadata is written last: until then the task counts as stale.
            for task, new in batch:
                self.project.update_task(task.id, {**task.data, **new["data"]}, new["meta"])
                report.refreshed += 1
                self._progress("Refreshing", report.refreshed, len(renewed))
        # Label Studio refuses a model without predictions in the project.
        if any(task.meta is None or task.meta.shown for task in self.waiting):
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
            # A recheck is a second task on purpose, one per taxonomy version.
            key = (task.paper.id, task.meta.taxonomy if task.meta and task.is_recheck else "")
            if key in known and not task.touched:
                copies.add(task.id)
            known.add(key)
        self.project.delete_tasks(sorted(copies))
        self._report.duplicates_removed += len(copies)
        return [task for task in tasks if task.id not in copies]

    def _renewed(self, task: ReviewTask, decision: TaggedPaper) -> dict[str, Any]:
        queue: Queue = task.meta.queue if task.meta else "checked"
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
    papers: Sequence[Paper],
    labelled: Sequence[Paper],
    settings: PushSettings,
    count: int,
) -> list[dict[str, Any]]:
    """Choose papers and make their tasks, most useful first, those sampled at random last."""
    model = run.model
    waiting = [task.paper for task in run.waiting]
    known = model.encode([*labelled, *waiting], run.stage("Encoding labelled papers"))
    predictions = model.predict(papers, run.stage("Tagging"))
    pool = Pool(papers, predictions, known, model.taxonomy)
    chosen, sampled = _select(pool, settings, count)
    indices = chosen + sampled
    decisions = run.decide(
        [papers[index] for index in indices],
        {name: values[indices] for name, values in predictions.probabilities.items()},
    )
    vectors = known[: len(labelled)]
    similarity = similarity_to_nearest(predictions.vectors, vectors)
    # 5% of labelled papers are less similar than this to the training papers of their fold.
    held_out = model.reference.similarity
    threshold = np.quantile(held_out, _NOVELTY_LEVEL) if labelled and len(held_out) else -1.0
    tasks = []
    for index, decision in zip(indices, decisions, strict=True):
        paper = papers[index]
        queue: Queue = "confused" if decision.review else "checked"
        if index in sampled:
            queue = "audit"
        elif similarity[index] < threshold:
            queue = "unfamiliar"
        reason = run.reason(decision, queue)
        if queue == "unfamiliar" and labelled:
            nearest = int((vectors @ predictions.vectors[index]).argmax())
            reason += f"{_NEAREST}“{labelled[nearest].title}”."
        shown = random_number(paper, "blind") >= settings.blind_share
        tasks.append(make_task(paper, decision, run.taxonomy, queue, reason, shown=shown))
    return tasks


def _select(pool: Pool, settings: PushSettings, count: int) -> tuple[list[int], list[int]]:
    """Return the indices of ``count`` papers: chosen by the strategy, and sampled at random."""
    # The sample depends on a hash of the paper, so that later pushes continue it.
    numbers = np.array([random_number(paper) for paper in pool.papers])
    reserved = [int(i) for i in np.argsort(numbers) if numbers[i] < settings.random_share]
    quota = min(math.ceil(settings.random_share * count), len(reserved))
    available = numbers >= settings.random_share
    if settings.rule.accept:
        # With a precision target, only papers with a tag below the target are candidates.
        probabilities = pool.predictions.probabilities
        doubts = [settings.rule.doubts(f, probabilities[f.name]) for f in pool.taxonomy.facets]
        available &= np.any(doubts, axis=0)
    candidates = np.flatnonzero(available)
    selected = settings.strategy.select(pool.take(candidates), count - quota)
    if len({*selected} & {*range(len(candidates))}) < len(selected):
        strategy = type(settings.strategy).__name__
        raise TaggerError(f"the strategy {strategy} returned an index twice or out of range")
    chosen = [int(candidates[index]) for index in selected[: count - quota]]
    if not settings.rule.accept:
        quota = count - len(chosen)
    return chosen, reserved[:quota]
