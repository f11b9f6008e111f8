"""Push: send the most useful papers to Label Studio, with the model's suggestions.

A push can be repeated at any time: a paper gets at most one task, and the next push completes one
that was interrupted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tagger._util.progress import Progress, no_progress
from tagger.labels import Label
from tagger.model import ReviewRule, TaggerModel
from tagger.papers import KnownPapers, Paper, TaggedPaper, paper_id
from tagger.review.evidence import Evidence, find_evidence
from tagger.review.project import BATCH_SIZE, ReviewProject, ReviewTask
from tagger.review.selection import NEAREST, ChosenPaper, PushSettings, Selection, reason_of
from tagger.review.tasks import BLIND_QUEUES, Queue, make_task
from tagger.taxonomy import Taxonomy

_REFRESHED_AT_ONCE = 50
"""Number of tasks that are written before the next ones are read again."""
_IF_EMPTY = (
    "Left empty, a facet that is named here gets no tag if it may have none; "
    "all others keep their tags."
)
_MOST_EXPLAINED = 500
"""Number of papers of a push whose evidence is marked."""


class Recheck(NamedTuple):
    """Why a labelled paper is sent again, and the facets to look at.

    The others keep their label if the reviewer leaves them empty.
    """

    reason: str
    facets: tuple[str, ...]


@dataclass(slots=True)
class PushReport:
    """Result of a push.

    ``candidates`` counts the papers without label and task; of more than
    :data:`~tagger.review.selection.POOL_SIZE`, the strategy chooses from a random sample.
    ``waiting`` counts the untouched tasks after the push, ``queues`` the new tasks per queue, and
    ``moved`` the waiting tasks that are now of the audit sample. ``problems`` lists tasks that
    could not be read.
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
    chosen = run.selection.choose(papers, labels, settings)
    run.send(run.make_tasks(chosen))
    run.refresh()
    return run.finish()


def push_rechecks(
    rechecks: Mapping[Paper, Recheck],
    model: TaggerModel,
    project: ReviewProject,
    *,
    progress: Progress = no_progress,
    taxonomy: Taxonomy | None = None,
) -> PushReport:
    """Send labelled papers for a second look without suggestions.

    A paper with an open recheck task is not sent again. After a change of the taxonomy, untouched
    tasks are refreshed, and papers rechecked under the old taxonomy may be sent again.
    """
    rechecks = {
        paper: Recheck(f"{reason} {_IF_EMPTY}", facets)
        for paper, (reason, facets) in rechecks.items()
    }
    run = _Push(model, project, taxonomy or model.taxonomy, model.rule(), progress)
    run.rechecks = {_work(paper): recheck for paper, recheck in rechecks.items()}
    known = KnownPapers(
        task.paper
        for task in run.tasks
        if task.queue == "recheck" and (run.is_current(task) or not (task.done or task.skipped))
    )
    papers = [paper for paper in rechecks if paper not in known]
    decisions = run.selection.decide(papers)
    run.send(
        [
            make_task(paper, tagged, run.taxonomy, "recheck", recheck.reason, facets=recheck.facets)
            for paper, tagged in zip(papers, decisions, strict=True)
            for recheck in [rechecks[paper]]
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
        self.rechecks: Mapping[tuple[str, str], Recheck] = {}
        self._progress = progress
        self._report = PushReport(project.url, interface_changes=project.fit_interface(taxonomy))
        tasks, self._report.problems = project.tasks()
        self.tasks = self._without_copies(tasks)
        self.selection = Selection(model, self.tasks, rule, progress)
        self.waiting = self.selection.waiting

    def is_current(self, task: ReviewTask) -> bool:
        return task.meta is not None and task.meta.taxonomy == self.taxonomy.version

    def send(self, tasks: Sequence[dict[str, Any]]) -> None:
        report = self._report
        for start in range(0, len(tasks), BATCH_SIZE):
            batch = tasks[start : start + BATCH_SIZE]
            self.project.import_tasks(batch)
            report.new += len(batch)
            self._progress("Sending", report.new, len(tasks))
        report.queues = dict(Counter(task["meta"]["queue"] for task in tasks))
        if any(task["predictions"] for task in tasks):
            self.project.show_predictions_of(self.model.name)

    def make_tasks(self, chosen: Sequence[ChosenPaper]) -> list[dict[str, Any]]:
        """Make tasks, with marked evidence for the first that are to have it."""
        evidence: dict[Paper, Evidence] = {}
        explained = [one.paper for one in chosen if one.explained][:_MOST_EXPLAINED]
        for count, paper in enumerate(explained, start=1):
            evidence[paper] = find_evidence(paper, self.model, self.selection.rule)
            self._progress("Finding evidence", count, len(explained))
        return [
            make_task(
                *(paper, decision, self.taxonomy, queue, reason),
                shown=shown,
                evidence=evidence.get(paper),
            )
            for paper, decision, queue, reason, shown in chosen
        ]

    def refresh(self) -> None:
        """Update the suggestions of untouched tasks to those of the present model."""
        model, report = self.model, self._report
        stale = [
            task
            for task in self.waiting
            if task.id in self.selection.to_audit
            or not (task.meta and self.is_current(task) and task.meta.model == model.name)
        ]
        # Label Studio refuses to show a model without predictions in the project.
        ids = {task.id for task in stale}
        shows = any(task.id not in ids and task.meta.shown for task in self.waiting if task.meta)
        decisions = self.selection.decide([task.paper for task in stale])
        tasks = self.make_tasks([*map(self._renewed, stale, decisions)])
        renewed = [*zip(stale, tasks, strict=True)]
        for start in range(0, len(renewed), _REFRESHED_AT_ONCE):
            batch = renewed[start : start + _REFRESHED_AT_ONCE]
            # Somebody may have begun a task since it was listed.
            untouched = self.project.untouched([task.id for task, _ in batch])
            batch = [(task, new) for task, new in batch if task.id in untouched]
            self.project.replace_predictions({task.id: new["predictions"] for task, new in batch})
            # The metadata is written last: until then the task counts as stale.
            for task, new in batch:
                if recheck := self._recheck_of(task):
                    new["meta"]["facets"] = recheck.facets
                self.project.update_task(task.id, {**task.data, **new["data"]}, new["meta"])
                report.moved += task.id in self.selection.to_audit
                shows = shows or bool(new["predictions"])
            report.refreshed += len(batch)
            self._progress("Refreshing", start + len(batch), len(renewed))
        if shows:
            self.project.show_predictions_of(model.name)

    def finish(self) -> PushReport:
        report = self._report
        report.candidates = self.selection.candidates
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
            version = task.meta.taxonomy if task.meta and again else ""
            key = (*_work(task.paper), again, version)
            if key in known and not task.touched:
                copies.add(task.id)
            known.add(key)
        if copies:  # somebody may have begun one since they were listed
            copies = self.project.untouched(sorted(copies))
        self.project.delete_tasks(sorted(copies))
        self._report.duplicates_removed += len(copies)
        return [task for task in tasks if task.id not in copies]

    def _renewed(self, task: ReviewTask, decision: TaggedPaper) -> ChosenPaper:
        queue: Queue = "audit" if task.id in self.selection.to_audit else task.queue or "checked"
        if queue in ("confused", "checked"):
            queue = "confused" if decision.review else "checked"
        if recheck := self._recheck_of(task):
            reason = recheck.reason
        else:
            _, separator, nearest = str(task.data.get("reason", "")).partition(NEAREST)
            reason = reason_of(queue) + separator + nearest
        shown = queue not in BLIND_QUEUES and (task.meta is None or task.meta.shown)
        return ChosenPaper(task.paper, decision, queue, reason, shown)

    def _recheck_of(self, task: ReviewTask) -> Recheck | None:
        """Return what a recheck task asks now, or asked before; None for any other task."""
        if task.meta is None or task.queue != "recheck":
            return None
        before = Recheck(str(task.data.get("reason", "")), task.meta.facets)
        return self.rechecks.get(_work(task.paper), before)


def _work(paper: Paper) -> tuple[str, str]:
    """Return what identifies a paper; chapters may share the id of their book."""
    return paper.id, paper_id(paper.title)
