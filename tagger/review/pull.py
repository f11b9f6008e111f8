"""Pull: add the annotations of a Label Studio project to a label folder as corrections.

Every correction holds the unique id of its annotation and the time of its last change. They show
what has been pulled before, so a pull can be repeated at any time. All new lines are written at
once, and lines edited by hand are kept.
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
    labels_by_paper,
    measure_agreement,
)
from tagger.review.project import ReviewProject
from tagger.review.tasks import TaskError, facets_gone, read_label
from tagger.taxonomy import Taxonomy

Recorded = Mapping[str, tuple[Label, Origin]]
"""Labels of a project in the label folder, with their origins, by annotation id."""


@dataclass(slots=True)
class PullReport:
    """Result of a pull.

    ``new``, ``changed`` and ``withdrawn`` count the annotations that were added, edited, and
    deleted or skipped since the last pull; ``skipped`` counts the papers that somebody skipped.
    ``conflicts`` lists the disagreements of reviewers, ``agreement`` measures their agreement, and
    ``problems`` lists annotations that could not be read, wholly or in a facet.
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
    """Add the annotations of a project to a label folder, as corrections.

    ``rule`` decides which disagreements are reported as settled. Raises a TaggerError if the server
    fails; either all corrections have been added or none, and another pull continues.
    """
    report = PullReport()
    exported: list[dict[str, Any]] = []

    def new_corrections(labels: list[Label]) -> Sequence[Label]:
        # The export is read under the lock of the store. Otherwise one of two concurrent pulls
        # could withdraw what the other has added.
        exported.extend(project.annotated_tasks())
        found = _read_annotations(exported, project, store, report)
        recorded = {
            label.origin.annotation: (label, label.origin)
            for label in labels
            if label.origin and label.origin.project == project.key
        }
        corrections = _changed(found, recorded, report)
        report.problems += _left_out(corrections, exported, store.taxonomy)
        counts = {task["id"]: len(task["annotations"]) for task in exported}
        missing = {name: pair for name, pair in recorded.items() if name not in found}
        corrections += _withdrawn(missing, project, counts, report)
        return date_after(corrections, [label for label, _ in recorded.values()])

    store.add_corrections(new_corrections)
    labels = store.all_labels()
    report.conflicts = find_conflicts(labels, rule)
    report.agreement = measure_agreement(labels, store.taxonomy)
    by_paper = labels_by_paper(labels)
    open_ = [own for one in report.conflicts if not one.settled for own in by_paper[one.id]]
    origins = [label.origin for label in open_ if label.origin]
    disputed = {one.task for one in origins if one.project == project.key}
    project.show_conflicts(disputed, exported)
    return report


def _read_annotations(
    exported: Sequence[dict[str, Any]],
    project: ReviewProject,
    store: LabelStore,
    report: PullReport,
) -> dict[str, Label | None]:
    """Return the label of each annotation by its unique id, None if it cannot be read."""
    annotators = project.annotators()
    found: dict[str, Label | None] = {}
    skipped = set()
    for task in exported:
        for annotation in task["annotations"]:
            if annotation["was_cancelled"]:
                skipped.add(task["id"])
                continue
            author = annotation["completed_by"]
            # Other editions of Label Studio export the user instead of the id.
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
    """Return the labels that are not recorded, or were recorded differently."""
    changed = []
    for name, label in found.items():
        if label is None or label.origin is None:
            continue
        if name in recorded:
            before, origin = recorded[name]
            # Compared for equality, not for a later time: clocks can go back.
            if before.outcome != "withdrawn" and origin.updated == label.origin.updated:
                continue
            report.changed += 1
        else:
            report.new += 1
        changed.append(label)
    return changed


def _left_out(
    corrections: Sequence[Label], exported: Sequence[dict[str, Any]], taxonomy: Taxonomy
) -> list[str]:
    """Return a problem for each facet of new answers that is not in the taxonomy any more."""
    new = {label.origin.annotation for label in corrections if label.origin}
    return [
        f"task {task['id']} has tags of the facet '{facet}', which is not in the taxonomy; "
        "those of the others were pulled"
        for task in exported
        for annotation in task["annotations"]
        if annotation["unique_id"] in new
        for facet in facets_gone(task, annotation, taxonomy)
    ]


def _withdrawn(
    missing: Recorded, project: ReviewProject, exported: Mapping[int, int], report: PullReport
) -> list[Label]:
    """Return a withdrawal of each missing annotation whose task still exists.

    ``exported`` counts the exported annotations of each task.
    """
    valid = [pair for pair in missing.values() if pair[0].outcome != "withdrawn"]
    # Deleting a whole task does not withdraw its answers.
    counts = project.annotation_counts() if valid else {}
    withdrawals, inconsistent = [], set()
    for label, origin in valid:
        if origin.task in counts and counts[origin.task] == exported.get(origin.task, 0):
            withdrawals.append(withdrawal(label))
        elif origin.task in counts:
            # The export is incomplete, or somebody is annotating now.
            inconsistent.add(origin.task)
    report.withdrawn += len(withdrawals)
    report.problems += [
        f"task {task}: listed and exported annotations differ; nothing was withdrawn. Pull again"
        for task in sorted(inconsistent)
    ]
    return withdrawals


def withdrawal(label: Label) -> Label:
    """Return the line that takes an answer back."""
    changes: dict[str, Any] = {"outcome": "withdrawn", "tags": {}, "text": "", "note": None}
    return label.model_copy(update={**changes, "time": datetime.now(UTC)})


def date_after(corrections: Sequence[Label], recorded: Sequence[Label]) -> list[Label]:
    """Date corrections after the recorded labels: the latest counts, but clocks can go back."""
    latest = max((label.time for label in recorded if label.outcome != "withdrawn"), default=None)
    dated = []
    for count, label in enumerate(sorted(corrections, key=lambda label: label.time), start=1):
        if latest and label.time <= latest:
            label = label.model_copy(update={"time": latest + timedelta(microseconds=count)})
        dated.append(label)
    return dated
