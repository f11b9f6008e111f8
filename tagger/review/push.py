"""Push: the papers most worth a person's time go to Label Studio, already filled in.

The same push may be given again at any time. A paper has at most one task; what a push that was
killed left undone is done by the next one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tagger._util.arrays import Floats
from tagger.errors import TaggerError
from tagger.labels import Label, standing_labels
from tagger.model import ReviewRule, TaggerModel, decide, doubtful_tags
from tagger.papers import KnownPapers, Paper, TaggedPaper
from tagger.review.project import BATCH_SIZE, ReviewProject, ReviewTask
from tagger.review.strategies.base import Pool, Strategy, similarity_to_nearest
from tagger.review.strategies.random import draw_of
from tagger.review.tasks import QUEUES, Queue, make_task
from tagger.taxonomy import Taxonomy

Step = Callable[[str, int, int], None]
Probabilities = Mapping[str, Floats]
_NOVELTY_LEVEL = 0.05
_NEAREST = " • The nearest labelled paper: "


@dataclass(frozen=True, slots=True)
class PushSettings:
    """What to send.

    ``budget`` is how many of the given papers should wait for review. The strategy does not choose
    from the ``random_share`` of the papers, which is sampled at random to measure without bias;
    each push takes that share of its budget from it. ``blind_share`` of the papers is sent without
    suggestions, to measure anchoring.
    """

    budget: int
    strategy: Strategy
    random_share: float = 0.1
    blind_share: float = 0.0
    rule: ReviewRule = field(default_factory=ReviewRule)


@dataclass(slots=True)
class PushReport:
    """What a push did.

    ``waiting`` counts the tasks that nobody has touched, after the push; ``queues`` the new ones.
    """

    url: str
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
    step: Step = lambda stage, done, total: None,
    taxonomy: Taxonomy | None = None,
) -> PushReport:
    """Send the papers, of different identity, that are most worth a label; refresh what waits.

    Labelled papers are not sent again. ``step`` is called with stage, papers done and papers in
    all. Reviewers are asked in terms of ``taxonomy``, by default the model's; a facet that the
    model does not know is shown without a suggestion.
    """
    run = _Push(model, project, taxonomy or model.taxonomy, settings.rule, step)
    standing = standing_labels(labels)
    known = KnownPapers([label.paper for label in standing] + [task.paper for task in run.tasks])
    fresh = [paper for paper in papers if paper not in known]
    given = KnownPapers(papers)
    count = settings.budget - sum(task.paper in given for task in run.waiting)
    if fresh and count > 0:
        labelled = [*{label.id: label.paper for label in standing if label.tags}.values()]
        run.send(_choose(run, fresh, labelled, settings, count))
    run.refresh()
    return run.finish()


def push_rechecks(
    rechecks: Mapping[Paper, str],
    model: TaggerModel,
    project: ReviewProject,
    step: Step = lambda stage, done, total: None,
    taxonomy: Taxonomy | None = None,
) -> PushReport:
    """Send labelled papers to be looked at again, without suggestions that could lead.

    A paper that has such a task already gets no second one, unless the task was dealt with in terms
    of another taxonomy; if the taxonomy has changed, tasks that nobody has touched are refreshed.
    """
    run = _Push(model, project, taxonomy or model.taxonomy, model.rule(), step)
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
    """One push: fits the interface, then sends and refreshes tasks."""

    def __init__(
        self,
        model: TaggerModel,
        project: ReviewProject,
        taxonomy: Taxonomy,
        rule: ReviewRule,
        step: Step,
    ) -> None:
        self.model, self.project, self.taxonomy = model, project, taxonomy
        self.rule, self._step = rule, step
        self._report = PushReport(project.url, interface_changes=project.fit_interface(taxonomy))
        tasks, self._report.problems = project.tasks()
        self.tasks = self._without_copies(tasks)
        self.waiting = [task for task in self.tasks if not task.touched]

    def is_current(self, task: ReviewTask) -> bool:
        return task.meta is not None and task.meta.taxonomy == self.taxonomy.version

    def stage(self, name: str) -> Callable[[int, int], None]:
        return lambda done, total: self._step(name, done, total)

    def decide(self, papers: Sequence[Paper], probabilities: Probabilities) -> list[TaggedPaper]:
        return decide(papers, probabilities, self.model.taxonomy, self.model.name, self.rule)

    def reason(self, decision: TaggedPaper, queue: Queue) -> str:
        """Say why a paper is shown; between tags in doubt, what each of them means."""
        parts = [f"{queue.capitalize()}: {QUEUES[queue]}."]
        if queue in ("confused", "unfamiliar"):
            for facet in self.model.taxonomy.facets:
                confidence = decision.confidence[facet.name]
                told = self.taxonomy.facet(facet.name)
                definitions = {tag.name: tag.definition for tag in told.tags}
                for tag in doubtful_tags(facet, confidence, self.rule):
                    parts.append(f"{tag} {confidence[tag]:.2f}: {definitions[tag]}")
        return " • ".join(parts)

    def send(self, tasks: Sequence[dict[str, Any]]) -> None:
        report = self._report
        for start in range(0, len(tasks), BATCH_SIZE):
            batch = tasks[start : start + BATCH_SIZE]
            self.project.import_tasks(batch)
            report.new += len(batch)
            for task in batch:
                queue = task["data"]["queue"]
                report.queues[queue] = report.queues.get(queue, 0) + 1
            self._step("Sending", report.new, len(tasks))
        if any(task["predictions"] for task in tasks):
            self.project.show_predictions_of(self.model.name)

    def refresh(self) -> None:
        """Give tasks that nobody has touched the suggestion of the present model."""
        model, report = self.model, self._report
        stale = [
            task
            for task in self.waiting
            if not (task.meta and self.is_current(task) and task.meta.model == model.name)
        ]
        papers = [task.paper for task in stale]
        decisions = self.decide(papers, model.predict_proba(papers))
        # Somebody may have begun with a task while its paper was read.
        now = self.project.tasks()[0] if stale else []
        untouched = {task.id for task in now if not task.touched}
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
            # What a task remembers is written last: until then the task counts as stale.
            for task, new in batch:
                self.project.update_task(task.id, {**task.data, **new["data"]}, new["meta"])
                report.refreshed += 1
                self._step("Refreshing", report.refreshed, len(renewed))
        # Label Studio refuses a model of which the project has no prediction.
        if any(task.meta is None or task.meta.shown for task in self.waiting):
            self.project.show_predictions_of(model.name)

    def finish(self) -> PushReport:
        report = self._report
        self.project.add_tabs()
        report.waiting = len(self.waiting) + report.new
        if self.project.task_count() != len(self.tasks) + len(report.problems) + report.new:
            # Another push ran beside this one, or the last batch of a killed one arrived late.
            tasks = self._without_copies(self.project.tasks()[0])
            report.waiting = sum(not task.touched for task in tasks)
        return report

    def _without_copies(self, tasks: Sequence[ReviewTask]) -> list[ReviewTask]:
        """Delete tasks of a paper that has another one; what a person has touched stays."""
        known = set()
        copies = set()
        for task in sorted(tasks, key=lambda task: (not task.touched, task.id)):
            # A label that is looked at again has a second task by intention, in each taxonomy.
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


def _choose(
    run: _Push,
    papers: Sequence[Paper],
    labelled: Sequence[Paper],
    settings: PushSettings,
    count: int,
) -> list[dict[str, Any]]:
    """Return the tasks of the chosen papers, most useful first, those sampled at random last."""
    model = run.model
    in_queue = [task.paper for task in run.waiting]
    known = model.encode([*labelled, *in_queue], run.stage("Reading labels"))
    predictions = model.predict(papers, run.stage("Tagging"))
    pool = Pool(papers, predictions, known, model.taxonomy)
    # By a hash of the paper: a later push goes on with the sample where this one ends.
    draws = np.array([draw_of(paper) for paper in papers])
    reserved = [int(row) for row in np.argsort(draws) if draws[row] < settings.random_share]
    quota = min(math.ceil(settings.random_share * count), len(reserved))
    open_ = draws >= settings.random_share
    if settings.rule.accept:
        # Under a precision target, only papers with a tag that does not reach it.
        facets = model.taxonomy.facets
        doubts = [settings.rule.doubts(f, predictions.probabilities[f.name]) for f in facets]
        open_ &= np.any(doubts, axis=0)
    candidates = np.flatnonzero(open_)
    selected = settings.strategy.select(pool.take(candidates), count - quota)
    if len({*selected} & {*range(len(candidates))}) < len(selected):
        strategy = type(settings.strategy).__name__
        raise TaggerError(f"the strategy {strategy} chose a paper twice, or one that is not there")
    chosen = [int(candidates[row]) for row in selected[: count - quota]]
    if not settings.rule.accept:
        quota = count - len(chosen)
    sampled = reserved[:quota]
    rows = chosen + sampled
    decisions = run.decide(
        [papers[row] for row in rows],
        {name: given[rows] for name, given in predictions.probabilities.items()},
    )
    vectors = known[: len(labelled)]
    similarity = similarity_to_nearest(predictions.vectors, vectors)
    # One in twenty labelled papers is that far from those that its fold was trained on.
    held_out = model.reference.similarity
    least = np.quantile(held_out, _NOVELTY_LEVEL) if labelled and len(held_out) else -1.0
    tasks = []
    for row, decision in zip(rows, decisions, strict=True):
        queue: Queue = "confused" if decision.review else "checked"
        if row in sampled:
            queue = "random"
        elif similarity[row] < least:
            queue = "unfamiliar"
        reason = run.reason(decision, queue)
        if queue == "unfamiliar" and labelled:
            nearest = int((vectors @ predictions.vectors[row]).argmax())
            reason += f"{_NEAREST}“{labelled[nearest].title}”."
        shown = draw_of(papers[row], "blind") >= settings.blind_share
        tasks.append(make_task(papers[row], decision, run.taxonomy, queue, reason, shown=shown))
    return tasks
