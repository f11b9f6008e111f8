"""Pull: annotations come home as corrections, each once.

What was pulled before is known by the annotation's unique id and time of change, which every line
of ``corrections.jsonl`` carries; all new lines are put in place at once. So a pull may be given
again at any time, and lines that were edited by hand stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tagger.agreement import Agreement, measure_agreement
from tagger.labels import Conflict, ConflictRule, Label, LabelStore, find_conflicts
from tagger.review.project import ReviewProject
from tagger.review.tasks import TaskError, read_label


@dataclass(slots=True)
class PullReport:
    """What a pull brought.

    ``new`` are annotations seen for the first time, ``changed`` ones that a person has changed
    since, ``withdrawn`` ones that were deleted or skipped since; ``skipped`` counts the papers
    that somebody has passed over. ``conflicts`` lists what reviewers answer differently,
    ``agreement`` says how far they agree.
    """

    new: int = 0
    changed: int = 0
    withdrawn: int = 0
    skipped: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    agreement: list[Agreement] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def pull(project: ReviewProject, store: LabelStore, rule: ConflictRule = "latest") -> PullReport:
    """Bring the annotations of a project into a label folder, as corrections.

    Parameters
    ----------
    project:
        The project.
    store:
        The label folder; corrections are appended.
    rule:
        What settles a conflict.

    Raises
    ------
    TaggerError
        If the server does not do what is asked of it, or the label folder cannot be read or
        written; nothing has been written then.
    """
    report = PullReport()

    def choose(labels: list[Label]) -> Sequence[Label]:
        # Read when no other pull can add anything: two of them would take back each other's news.
        exported = project.annotated_tasks()
        found = _read_annotations(exported, project, store, report)
        recorded = {
            label.origin.annotation: label
            for label in labels
            if label.origin and label.origin.project == project.key
        }
        news = _changed(found, recorded, report)
        counts = {task["id"]: len(task["annotations"]) for task in exported}
        news += _withdrawn(found, recorded, project, counts, report)
        return _dated(news, recorded.values())

    store.add_corrections(choose)
    labels = store.all_labels()
    report.conflicts = find_conflicts(labels, rule)
    report.agreement = measure_agreement(labels, store.taxonomy)
    return report


def _read_annotations(
    exported: Sequence[dict[str, Any]],
    project: ReviewProject,
    store: LabelStore,
    report: PullReport,
) -> dict[str, Label | None]:
    """Return the label of each annotation by its unique id; None for one that makes no label."""
    annotators = project.annotators()
    found: dict[str, Label | None] = {}
    skipped = set()
    for task in exported:
        for annotation in task["annotations"]:
            if annotation["was_cancelled"]:
                skipped.add(task["id"])
                continue
            author = annotation["completed_by"]
            # Other editions of Label Studio export the person, not the number.
            number = author["id"] if isinstance(author, dict) else author
            annotator = annotators.get(number, f"user-{number}")
            label = None
            try:
                label = read_label(task, annotation, annotator, store.taxonomy, project.key)
            except TaskError as problem:
                report.problems.append(f"task {task['id']} {problem}")
            found[annotation["unique_id"]] = label
    report.skipped = len(skipped)
    return found


def _changed(
    found: Mapping[str, Label | None], recorded: Mapping[str, Label], report: PullReport
) -> list[Label]:
    """Return the annotations that are not recorded, or not as they are now."""
    news = []
    for name, now in found.items():
        before = recorded.get(name)
        # The time of a change may lie before that of the record: clocks go back.
        if now is None or (before and before.outcome != "withdrawn" and _same(before, now)):
            continue
        if before is None:
            report.new += 1
        else:
            report.changed += 1
        news.append(now)
    return news


def _same(before: Label, now: Label) -> bool:
    return bool(before.origin and now.origin and before.origin.updated == now.origin.updated)


def _withdrawn(
    found: Mapping[str, Label | None],
    recorded: Mapping[str, Label],
    project: ReviewProject,
    exported: Mapping[int, int],
    report: PullReport,
) -> list[Label]:
    """Return a line that takes back each recorded annotation that is gone.

    ``exported`` is how many annotations of each task were exported.
    """
    missing = [
        (label.origin.task, label)
        for name, label in recorded.items()
        if name not in found and label.outcome != "withdrawn" and label.origin
    ]
    # Whoever deletes a whole task clears up, and does not take back what was said of the paper.
    listed = project.annotation_counts() if missing else {}
    # Else the export is not whole, or somebody annotates just now.
    in_doubt = {
        task for task, _ in missing if task in listed and listed[task] != exported.get(task, 0)
    }
    report.problems += [
        f"task {task} has other annotations than were exported: nothing is withdrawn; pull again"
        for task in sorted(in_doubt)
    ]
    changes: dict[str, Any] = {"outcome": "withdrawn", "tags": {}, "text": "", "note": None}
    gone = [
        label.model_copy(update={**changes, "time": datetime.now(UTC)})
        for task, label in missing
        if task in listed and task not in in_doubt
    ]
    report.withdrawn += len(gone)
    return gone


def _dated(news: Sequence[Label], recorded: Iterable[Label]) -> list[Label]:
    """Date news later than what was pulled before, if a clock has gone back meanwhile.

    The latest answer counts, and what was not there when answers were pulled last is later.
    """
    latest = max((label.time for label in recorded if label.outcome != "withdrawn"), default=None)
    order = sorted(range(len(news)), key=lambda place: news[place].time)
    dated = [*news]
    for count, place in enumerate(order, start=1):
        if latest and news[place].time <= latest:
            time = latest + timedelta(microseconds=count)
            dated[place] = news[place].model_copy(update={"time": time})
    return dated
