"""Pull: annotations come home as corrections, each once.

What was pulled before is known by the annotation's unique id and time of change, which every line
of ``corrections.jsonl`` carries; all new lines are put in place at once. So a pull may be given
again at any time, and lines that were edited by hand stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
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

    def as_dict(self) -> dict[str, Any]:
        """Return the report for a script."""
        return asdict(self)


def pull(project: ReviewProject, store: LabelStore, rule: ConflictRule = "latest") -> PullReport:
    """Bring the annotations of a project into a label folder.

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
    found = _read_annotations(project, store, report)

    def choose(labels: list[Label]) -> Sequence[Label]:
        return _news(project, found, labels, report)

    store.add_corrections(choose)
    labels = store.all_labels()
    report.conflicts = find_conflicts(labels, rule)
    report.agreement = measure_agreement(labels, store.taxonomy)
    return report


def _read_annotations(
    project: ReviewProject, store: LabelStore, report: PullReport
) -> dict[str, Label]:
    """Return the label that each annotation makes, by the annotation's unique id."""
    annotators = project.annotators()
    found: dict[str, Label] = {}
    for task in project.annotated_tasks():
        for annotation in task["annotations"]:
            if annotation["was_cancelled"]:
                report.skipped += 1
                continue
            author = annotation["completed_by"]
            # Other editions of Label Studio export the person, not the number.
            number = author["id"] if isinstance(author, dict) else author
            annotator = annotators.get(number, f"user-{number}")
            try:
                label, unknown = read_label(
                    task, annotation, annotator, store.taxonomy, project.key
                )
            except TaskError as problem:
                report.problems.append(f"task {task['id']} {problem}")
                break
            found[annotation["unique_id"]] = label
            report.problems += [
                f"task {task['id']} '{label.title}': the taxonomy has no {tag}" for tag in unknown
            ]
    return found


def _news(
    project: ReviewProject, found: dict[str, Label], labels: Sequence[Label], report: PullReport
) -> list[Label]:
    """Return the lines that the label folder lacks."""
    recorded: dict[str, Label] = {}
    for label in labels:
        if label.origin and label.origin.project == project.key:
            recorded[label.origin.annotation] = label
    news = []
    for name, label in found.items():
        before = recorded.get(name)
        if before is None:
            report.new += 1
        elif before.outcome == "withdrawn" or _updated(before) < _updated(label):
            report.changed += 1
        else:
            continue
        news.append(label)
    missing = {
        name: label
        for name, label in recorded.items()
        if name not in found and label.outcome != "withdrawn"
    }
    for label in missing.values():
        if _is_withdrawn(project, label):
            report.withdrawn += 1
            now = datetime.now(UTC)
            changes = {"outcome": "withdrawn", "tags": {}, "text": "", "time": now, "note": None}
            news.append(label.model_copy(update=changes))
    return news


def _is_withdrawn(project: ReviewProject, label: Label) -> bool:
    """Tell whether somebody took an annotation back.

    Whoever deletes a whole task clears up, and does not take back what was said of the paper.
    """
    return label.origin is not None and project.has_task(label.origin.task)


def _updated(label: Label) -> datetime:
    assert label.origin is not None
    return label.origin.updated
