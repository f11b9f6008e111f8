"""Push: the papers most worth a person's time go to Label Studio, already filled in.

The same push may be given again at any time. A paper has at most one task; what a push that was
killed left undone is done by the next one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tagger.decision import ReviewRule, decide, doubtful_tags
from tagger.encoder import Vectors
from tagger.errors import TaggerError
from tagger.evaluation import Integers
from tagger.labels import Label, standing_labels
from tagger.model import TaggerModel
from tagger.paper import KnownPapers, Paper
from tagger.review.project import BATCH_SIZE, ReviewProject, ReviewTask
from tagger.review.tasks import QUEUES, Queue, TaskMeta, make_task
from tagger.strategies.base import Pool, Strategy, similarity_to_nearest
from tagger.strategies.random import draw_of
from tagger.tagged_paper import TaggedPaper
from tagger.taxonomy import Taxonomy

Step = Callable[[str, int, int], None]
_NOVELTY_QUANTILE = 0.05
_NOVELTY_SAMPLE = 1000
_NEAREST = " • The nearest labelled paper: "


@dataclass(frozen=True, slots=True)
class PushSettings:
    """What to send.

    Parameters
    ----------
    budget:
        How many of the given papers should wait for review.
    strategy:
        Chooses them.
    random_share:
        Share of the budget that is drawn by chance, so that the tags can be measured honestly.
    blind_share:
        Share of the papers that are sent without suggestions, to measure anchoring.
    rule:
        What counts as unsure.
    """

    budget: int
    strategy: Strategy
    random_share: float = 0.1
    blind_share: float = 0.0
    rule: ReviewRule = field(default_factory=ReviewRule)


@dataclass(frozen=True, slots=True)
class Rechecks:
    """Labels to be looked at again: per paper, why."""

    papers: Sequence[Paper]
    reasons: Mapping[str, str]


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

    def as_dict(self) -> dict[str, Any]:
        """Return the report for a script."""
        return asdict(self)


def push(
    papers: Sequence[Paper],
    model: TaggerModel,
    labels: Sequence[Label],
    project: ReviewProject,
    settings: PushSettings,
    step: Step = lambda stage, done, total: None,
) -> PushReport:
    """Send the papers that are most worth a label, and refresh what waits.

    Parameters
    ----------
    papers:
        Papers of different identity.
    model:
        What fills in the tags. Its taxonomy is the project's.
    labels:
        All that people said: those papers are not sent again, and the others are compared with
        them.
    project:
        Where they go.
    settings:
        How many, and which.
    step:
        Called with stage, papers done and papers in all.

    Raises
    ------
    TaggerError
        If the server does not do what is asked of it.
    """
    report, tasks = _prepare(project, model.taxonomy)
    there = len(tasks) + len(report.problems)
    standing = standing_labels(labels)
    known = KnownPapers([label.paper for label in standing] + [task.paper for task in tasks])
    fresh = [paper for paper in papers if paper not in known]
    given = KnownPapers(papers)
    waiting = [task for task in tasks if not task.touched]
    count = settings.budget - sum(task.paper in given for task in waiting)
    tasks_sent: list[dict[str, Any]] = []
    if fresh and count > 0:
        labelled = [*{label.id: label.paper for label in standing if label.tags}.values()]
        in_queue = [task.paper for task in waiting]
        everything = model.encode([*labelled, *in_queue], _stage(step, "Reading labels"))
        predictions = model.predict(fresh, _stage(step, "Tagging"))
        pool = Pool(fresh, predictions, everything, model.taxonomy)
        drawn = _drawn_by_chance(papers, settings)
        tasks_sent = _choose(
            pool, model, everything[: len(labelled)], labelled, settings, count, drawn
        )
        _send(project, tasks_sent, report, step)
    _refresh(project, waiting, model, settings.rule, report, step)
    # Label Studio refuses a model of which the project has no prediction.
    if any(task["predictions"] for task in tasks_sent) or any(
        task.meta is None or task.meta.shown for task in waiting
    ):
        project.show_predictions_of(model.name)
    report.waiting = len(waiting) + report.new
    return _finish(project, there, report)


def push_rechecks(
    rechecks: Rechecks,
    model: TaggerModel,
    project: ReviewProject,
    step: Step = lambda stage, done, total: None,
) -> PushReport:
    """Send labelled papers to be looked at again, without suggestions that could lead.

    A paper that has such a task already, done or not, gets no second one, unless the task was dealt
    with in terms of another taxonomy. Where the taxonomy has changed, tasks that nobody has touched
    are refreshed as by :func:`push`.

    Parameters
    ----------
    rechecks:
        The papers, and for each in words why.
    model:
        What its task remembers as the model's opinion.
    project, step:
        As for :func:`push`.
    """
    report, tasks = _prepare(project, model.taxonomy)
    there = len(tasks) + len(report.problems)
    version = model.taxonomy.version
    known = KnownPapers(
        task.paper
        for task in tasks
        if _is_recheck(task) and (_taxonomy_of(task) == version or not (task.done or task.skipped))
    )
    waiting = [task for task in tasks if not task.touched]
    papers = [paper for paper in rechecks.papers if paper not in known]
    if papers:
        predictions = model.predict(papers, _stage(step, "Tagging"))
        decisions = decide(
            papers, predictions.probabilities, model.taxonomy, model.name, ReviewRule()
        )
        reasons = rechecks.reasons
        new = [
            make_task(paper, d, model.taxonomy, "recheck", reasons[paper.id], shown=False)
            for paper, d in zip(papers, decisions, strict=True)
        ]
        _send(project, new, report, step)
    if any(_taxonomy_of(task) != version for task in waiting):
        _refresh(project, waiting, model, ReviewRule(), report, step)
        if any(task.meta is None or task.meta.shown for task in waiting):
            project.show_predictions_of(model.name)
    report.waiting = len(waiting) + report.new
    return _finish(project, there, report)


def _prepare(project: ReviewProject, taxonomy: Taxonomy) -> tuple[PushReport, list[ReviewTask]]:
    """Fit the interface and return the tasks, without the copies that a killed push left."""
    report = PushReport(project.url, interface_changes=project.fit_interface(taxonomy))
    tasks, report.problems = project.tasks()
    return report, _without_copies(project, tasks, report)


def _without_copies(
    project: ReviewProject, tasks: Sequence[ReviewTask], report: PushReport
) -> list[ReviewTask]:
    """Delete tasks of a paper that has another one; what a person has touched stays."""
    kept: dict[str, ReviewTask] = {}
    copies = []
    for task in sorted(tasks, key=lambda task: (not task.touched, task.id)):
        # A label that is looked at again has a second task by intention, in each taxonomy.
        key = f"{task.paper.id} {_taxonomy_of(task) if _is_recheck(task) else ''}"
        if key in kept and not task.touched:
            copies.append(task.id)
        else:
            kept.setdefault(key, task)
    project.delete_tasks(copies)
    report.duplicates_removed += len(copies)
    gone = set(copies)
    return [task for task in tasks if task.id not in gone]


def _is_recheck(task: ReviewTask) -> bool:
    return task.meta is not None and task.meta.queue == "recheck"


def _taxonomy_of(task: ReviewTask) -> str | None:
    return task.meta.taxonomy if task.meta else None


def _drawn_by_chance(papers: Sequence[Paper], settings: PushSettings) -> set[str]:
    """Draw from all papers, whatever is known of them: a fair sample of what came in."""
    size = math.ceil(settings.random_share * settings.budget)
    ranked = sorted(papers, key=lambda paper: draw_of(paper))
    return {paper.id for paper in ranked[:size]}


def _choose(
    pool: Pool,
    model: TaggerModel,
    labelled_vectors: Vectors,
    labelled: Sequence[Paper],
    settings: PushSettings,
    count: int,
    drawn_papers: Set[str],
) -> list[dict[str, Any]]:
    """Return the tasks of the chosen papers, most useful first."""
    by_chance = [row for row, paper in enumerate(pool.papers) if paper.id in drawn_papers][:count]
    # Some of them may be among those drawn by chance: enough remain to fill the budget.
    open_ = _left_open(pool, settings.rule)
    selected = settings.strategy.select(pool.take(open_), count)
    _check_selection(selected, len(open_), settings.strategy)
    chosen = [int(open_[row]) for row in selected]
    drawn = set(by_chance)
    rows = [row for row in chosen if row not in drawn][: max(count - len(by_chance), 0)]
    rows += by_chance
    decisions = decide(
        [pool.papers[row] for row in rows],
        {name: chances[rows] for name, chances in pool.predictions.probabilities.items()},
        pool.taxonomy,
        model.name,
        settings.rule,
    )
    similarity = similarity_to_nearest(pool.predictions.vectors, labelled_vectors)
    least = _least_familiar(labelled_vectors)
    tasks = []
    for row, decision in zip(rows, decisions, strict=True):
        queue: Queue = "checked"
        if row in drawn:
            queue = "random"
        elif similarity[row] < least:
            queue = "unfamiliar"
        elif decision.review:
            queue = "confused"
        reason = _reason(decision, pool.taxonomy, queue, settings.rule)
        if queue == "unfamiliar" and labelled:
            nearest = int((labelled_vectors @ pool.predictions.vectors[row]).argmax())
            reason += f"{_NEAREST}“{labelled[nearest].title}”."
        # Drawn by the paper alone, so that another push draws the same.
        paper = pool.papers[row]
        shown = draw_of(paper, "blind") >= settings.blind_share
        tasks.append(make_task(paper, decision, pool.taxonomy, queue, reason, shown=shown))
    return tasks


def _left_open(pool: Pool, rule: ReviewRule) -> Integers:
    """Return the papers to choose from: all, or under a promise those that it leaves open."""
    everything = np.arange(len(pool.papers))
    if not rule.accept:
        return everything
    doubts = [
        rule.doubts(facet, pool.predictions.probabilities[facet.name])
        for facet in pool.taxonomy.facets
    ]
    return everything[np.any(doubts, axis=0)]


def _check_selection(chosen: Sequence[int], papers: int, strategy: Strategy) -> None:
    """A strategy may come from another package."""
    if len(set(chosen)) != len(chosen) or not all(0 <= row < papers for row in chosen):
        raise TaggerError(
            f"the strategy {type(strategy).__name__} chose a paper twice, or one that is not there"
        )


def _least_familiar(vectors: Vectors) -> float:
    """Return the similarity to the nearest labelled paper below which a paper is unfamiliar.

    Of the labelled papers themselves one in twenty is that far from all others: the threshold of
    a conformal novelty test (Laxhammar and Falkman, "Conformal Prediction for Distribution-
    Independent Anomaly Detection", 2010) at level 0.05.
    """
    if len(vectors) < 2:
        return -1.0
    # The quantile of many is that of a sample of them.
    rng = np.random.default_rng(0)
    drawn = rng.choice(len(vectors), min(len(vectors), _NOVELTY_SAMPLE), replace=False)
    nearest = np.full(len(drawn), -1.0)
    for place, row in enumerate(drawn):
        cosines = vectors @ vectors[row]
        cosines[row] = -1.0
        nearest[place] = cosines.max()
    return float(np.quantile(nearest, _NOVELTY_QUANTILE))


def _reason(decision: TaggedPaper, taxonomy: Taxonomy, queue: Queue, rule: ReviewRule) -> str:
    """Say why a paper is shown; between tags in doubt, what each of them means."""
    parts = [f"{queue.capitalize()}: {QUEUES[queue]}."]
    if queue in ("confused", "unfamiliar"):
        for facet in taxonomy.facets:
            chances = decision.confidence[facet.name]
            for tag in doubtful_tags(facet, chances, rule):
                meaning = next(other.definition for other in facet.tags if other.name == tag)
                parts.append(f"{tag} {chances[tag]:.2f}: {meaning}")
    return " • ".join(parts)


def _send(
    project: ReviewProject, tasks: Sequence[dict[str, Any]], report: PushReport, step: Step
) -> None:
    for start in range(0, len(tasks), BATCH_SIZE):
        batch = tasks[start : start + BATCH_SIZE]
        project.import_tasks(batch)
        report.new += len(batch)
        for task in batch:
            queue = task["data"]["queue"]
            report.queues[queue] = report.queues.get(queue, 0) + 1
        step("Sending", report.new, len(tasks))


def _refresh(
    project: ReviewProject,
    waiting: Sequence[ReviewTask],
    model: TaggerModel,
    rule: ReviewRule,
    report: PushReport,
    step: Step,
) -> None:
    """Give tasks that nobody has touched the opinion of the present model."""
    stale = [
        task
        for task in waiting
        if task.meta is None
        or task.meta.model != model.name
        or task.meta.taxonomy != model.taxonomy.version
    ]
    for start in range(0, len(stale), BATCH_SIZE):
        batch = stale[start : start + BATCH_SIZE]
        papers = [task.paper for task in batch]
        chances = model.predict_proba(papers)
        decisions = decide(papers, chances, model.taxonomy, model.name, rule)
        tasks = [
            (task, _renewed(task, decision, model.taxonomy, rule))
            for task, decision in zip(batch, decisions, strict=True)
        ]
        project.replace_predictions(
            {
                task.id: prediction
                for task, renewed in tasks
                for prediction in renewed["predictions"]
            }
        )
        # What a task remembers is written last: until then the task counts as stale.
        for task, renewed in tasks:
            project.update_task(task.id, {**task.data, **renewed["data"]}, renewed["meta"])
            report.refreshed += 1
            step("Refreshing", report.refreshed, len(stale))


def _renewed(
    task: ReviewTask, decision: TaggedPaper, taxonomy: Taxonomy, rule: ReviewRule
) -> dict[str, Any]:
    meta: TaskMeta | None = task.meta
    queue: Queue = meta.queue if meta else "checked"
    if queue in ("confused", "checked"):
        queue = "confused" if decision.review else "checked"
    reason = str(task.data.get("reason", ""))
    if queue != "recheck":
        _, separator, nearest = reason.partition(_NEAREST)
        reason = _reason(decision, taxonomy, queue, rule) + separator + nearest
    shown = meta.shown if meta else True
    return make_task(task.paper, decision, taxonomy, queue, reason, shown=shown)


def _finish(project: ReviewProject, there: int, report: PushReport) -> PushReport:
    project.add_tabs()
    if project.task_count() != there + report.new:
        # Another push ran beside this one, or the last batch of a killed one arrived late.
        tasks, _ = project.tasks()
        tasks = _without_copies(project, tasks, report)
        report.waiting = sum(not task.touched for task in tasks)
    return report


def _stage(step: Step, name: str) -> Callable[[int, int], None]:
    return lambda done, total: step(name, done, total)
