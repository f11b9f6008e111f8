"""Pull: annotations come home as corrections, each once.

What was pulled before is known by the annotation's unique id and time of change, which every line
of ``corrections.jsonl`` carries; all new lines are put in place at once. So a pull may be given
again at any time, and lines that were edited by hand stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tagger.labels import (
    Agreement,
    Conflict,
    ConflictRule,
    Label,
    LabelStore,
    Origin,
    find_conflicts,
    measure_agreement,
)
from tagger.review.project import ReviewProject
from tagger.review.tasks import TaskError, read_label

Recorded = Mapping[str, tuple[Label, Origin]]


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


def pull_labels(
    project: ReviewProject, store: LabelStore, rule: ConflictRule = "latest"
) -> PullReport:
    """Bring the annotations of a project into a label folder, as corrections.

    Nothing has been written if a :class:`TaggerError` is raised.
    """
    report = PullReport()

    def choose(labels: list[Label]) -> Sequence[Label]:
        # Read when no other pull can add anything: two of them would take back each other's news.
        exported = project.annotated_tasks()
        found = _read_annotations(exported, project, store, report)
        recorded = {
            label.origin.annotation: (label, label.origin)
            for label in labels
            if label.origin and label.origin.project == project.key
        }
        news = _changed(found, recorded, report)
        counts = {task["id"]: len(task["annotations"]) for task in exported}
        missing = {name: pair for name, pair in recorded.items() if name not in found}
        news += _withdrawn(missing, project, counts, report)
        return _dated(news, [label for label, _ in recorded.values()])

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
    found: Mapping[str, Label | None], recorded: Recorded, report: PullReport
) -> list[Label]:
    """Return the annotations that are not recorded, or not as they are now."""
    news = []
    for name, now in found.items():
        if now is None or now.origin is None:
            continue
        if name in recorded:
            before, origin = recorded[name]
            # Not a later time alone: clocks go back.
            if before.outcome != "withdrawn" and origin.updated == now.origin.updated:
                continue
            report.changed += 1
        else:
            report.new += 1
        news.append(now)
    return news


def _withdrawn(
    missing: Recorded, project: ReviewProject, exported: Mapping[int, int], report: PullReport
) -> list[Label]:
    """Return what takes back each annotation that is missing; exports are counted by task."""
    standing = [pair for pair in missing.values() if pair[0].outcome != "withdrawn"]
    # Whoever deletes a whole task clears up, and does not take back what was said of the paper.
    listed = project.annotation_counts() if standing else {}
    now = datetime.now(UTC)
    changes: dict[str, Any] = {
        "outcome": "withdrawn",
        "tags": {},
        "text": "",
        "note": None,
        "time": now,
    }
    gone, in_doubt = [], set()
    for label, origin in standing:
        if origin.task in listed and listed[origin.task] == exported.get(origin.task, 0):
            gone.append(label.model_copy(update=changes))
        elif origin.task in listed:
            # The export is not whole, or somebody annotates just now.
            in_doubt.add(origin.task)
    report.withdrawn += len(gone)
    report.problems += [
        f"task {task} has other annotations than were exported: nothing is withdrawn; pull again"
        for task in sorted(in_doubt)
    ]
    return gone


def _dated(news: Sequence[Label], recorded: Sequence[Label]) -> list[Label]:
    """Date news later than what was pulled before, for the latest counts and clocks go back."""
    latest = max((label.time for label in recorded if label.outcome != "withdrawn"), default=None)
    dated = []
    for count, label in enumerate(sorted(news, key=lambda label: label.time), start=1):
        if latest and label.time <= latest:
            label = label.model_copy(update={"time": latest + timedelta(microseconds=count)})
        dated.append(label)
    return dated
