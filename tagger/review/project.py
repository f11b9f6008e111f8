"""The review project of a taxonomy in Label Studio: find or create it, use its tasks."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from tagger.errors import TaggerError
from tagger.papers import Paper
from tagger.review.connection import PULLED_STAYS, Connection
from tagger.review.interface import (
    SETTLE,
    VERDICTS,
    InUse,
    adapt_interface,
    build_interface,
    has_facet_of,
    is_review_interface,
)
from tagger.review.tasks import (
    Queue,
    TaskError,
    TaskMeta,
    read_export,
    read_meta,
    read_paper,
    tags_in_use,
)
from tagger.taxonomy import Taxonomy

BATCH_SIZE = 500
_PAGE_SIZE = 1000
_TITLE_LENGTH = 50
_ATTEMPTS = 3
"""How often a list is read if its length differs from the number that the server states."""
_FIELDS = ["id", "data", "meta", "total_annotations", "cancelled_annotations", "drafts"]
CONFLICTS = "conflicts"
"""The tab of the tasks that reviewers disagree on."""
_TABS: tuple[Queue, ...] = ("confused", "unfamiliar", "recheck")
# Columns of the Data Manager that a reviewer does not need.
_HIDDEN_COLUMNS = f"""
inner_id completed_at cancelled_annotations total_predictions annotators annotations_results
annotations_ids predictions_results predictions_model_versions file_upload storage_filename
created_at updated_at updated_by avg_lead_time draft_exists
data.paper data.abstract data.marked data.confidence data.reason data.{VERDICTS}
"""
_DESCRIPTION = "Papers to review for tagger, which also finds this project as '{}'."


@dataclass(frozen=True, slots=True)
class ReviewTask:
    """A task of the project.

    ``meta`` is None if the task was created by hand; ``begun`` tells whether there is a draft.
    """

    id: int
    paper: Paper
    data: dict[str, Any]
    meta: TaskMeta | None
    done: bool
    skipped: bool
    begun: bool = False

    @property
    def touched(self) -> bool:
        """Whether somebody has annotated, skipped or begun the task."""
        return self.done or self.skipped or self.begun

    @property
    def queue(self) -> Queue | None:
        """The queue that the task was sent in, None if it was created by hand."""
        return self.meta.queue if self.meta else None


class ReviewProject:
    """A project in Label Studio; every method raises a TaggerError if the server fails."""

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection = connection
        self.id = number
        project = self._project()
        self.title = str(project.title)
        self.interface = str(project.label_config)
        self.description = project.description or ""
        self.model_version = project.model_version or ""
        created = project.created_at
        self.key = f"{project.id}/{created.isoformat() if created else ''}"
        """Differs from projects of the same number on other servers."""

    @property
    def url(self) -> str:
        """The address of the project's Data Manager."""
        return f"{self.connection.url}/projects/{self.id}/data"

    def task_count(self) -> int:
        """Return the number of tasks."""
        return int(self._project().task_number or 0)

    def tasks(self) -> tuple[list[ReviewTask], list[str]]:
        """Return all tasks in order of their ids, and a message for each unreadable task."""
        tasks, problems = [], []
        for task in sorted(self._list_tasks(_FIELDS), key=lambda task: int(task.id)):
            try:
                tasks.append(
                    ReviewTask(
                        id=task.id,
                        paper=read_paper(task.data),
                        data=dict(task.data),
                        meta=read_meta(task.meta),
                        done=bool(task.total_annotations),
                        skipped=bool(task.cancelled_annotations),
                        begun=bool(task.drafts),
                    )
                )
            except TaskError as problem:
                problems.append(f"task {task.id} {problem}")
        return tasks, problems

    def import_tasks(self, tasks: Sequence[dict[str, Any]]) -> None:
        """Add tasks with their predictions; the server adds all or none."""
        with self._client() as client:
            client.projects.import_tasks(self.id, request=tasks)

    def delete_tasks(self, tasks: Sequence[int]) -> None:
        """Delete tasks with their annotations and predictions."""
        self._act("delete_tasks", tasks)

    def untouched(self, tasks: Sequence[int]) -> set[int]:
        """Return those of some tasks that nobody has annotated, skipped or begun until now."""
        between = _filter("id", "in", "Number", {"min": min(tasks), "max": max(tasks)})
        query = json.dumps({"filters": {"conjunction": "and", "items": [between]}})
        with self._client() as client:
            pages = client.tasks.list(
                project=self.id, page_size=_PAGE_SIZE, include=_FIELDS, query=query
            )
            return {
                task.id
                for task in pages
                if not (task.total_annotations or task.cancelled_annotations or task.drafts)
            } & {*tasks}

    def replace_predictions(self, predictions: dict[int, list[dict[str, Any]]]) -> None:
        """Replace all predictions of each task, by id."""
        self._act("delete_tasks_predictions", list(predictions))
        entries = [{"task": task, **one} for task, new in predictions.items() for one in new]
        if entries:
            with self._client() as client:
                client.projects.import_predictions(self.id, request=entries)

    def update_task(self, task: int, data: dict[str, Any], meta: dict[str, Any]) -> None:
        """Replace the data and metadata of a task."""
        with self._client(f"task {task}") as client:
            client.tasks.update(str(task), data=data, meta=meta)

    def show_predictions_of(self, model: str) -> None:
        """Show the predictions of a model as suggestions."""
        if model != self.model_version:
            with self._client() as client:
                client.projects.update(self.id, model_version=model, show_collab_predictions=True)
            self.model_version = model

    def set_overlap(self, reviewers: int) -> None:
        """Let a number of reviewers answer each task; it is offered to each who has not."""
        with self._client() as client:
            client.projects.update(self.id, maximum_annotations=reviewers)

    def annotated_tasks(self) -> list[dict[str, Any]]:
        """Export the annotated or skipped tasks with their annotations."""
        for _ in range(_ATTEMPTS):
            expected = self._project().total_annotations_number or 0
            with self._client() as client:
                chunks = client.projects.exports.download_sync(self.id, export_type="JSON")
                exported = read_export(b"".join(chunks))
            # An export can contain a task twice.
            tasks = list({task["id"]: task for task in exported}.values())
            annotations = [one for task in tasks for one in task["annotations"]]
            found = sum(not annotation["was_cancelled"] for annotation in annotations)
            # New annotations may have been added in the meantime.
            if found >= expected:
                return tasks
        raise self.connection.inconsistent(
            f"project {self.id} has {expected} annotations, but {found} are exported"
        )

    def annotation_counts(self) -> dict[int, int]:
        """Return the number of annotations of each task by id, including skips."""
        return {
            task.id: (task.total_annotations or 0) + (task.cancelled_annotations or 0)
            for task in self._list_tasks(["id", "total_annotations", "cancelled_annotations"])
        }

    def annotators(self) -> dict[int, str]:
        """Return the e-mail address of each user by id."""
        with self._client("list of users") as client:
            found = {user.id: user.email or f"user-{user.id}" for user in client.users.list()}
            if self.connection.user.id not in found:
                raise self.connection.inconsistent("the list of users lacks this account")
            return found

    def fit_interface(self, taxonomy: Taxonomy) -> list[str]:
        """Adapt the interface to the taxonomy; return a description of each change."""
        from label_studio_sdk.core.api_error import ApiError

        @cache
        def in_use() -> InUse:
            return tags_in_use(self.annotated_tasks())

        def alone() -> bool:
            return len(self.annotators()) == 1

        config, changes = adapt_interface(self.interface, taxonomy, in_use, alone=alone)
        if not changes:
            return []
        with self._client() as client:
            try:
                client.projects.update(self.id, label_config=config)
            except ApiError as error:
                if error.status_code != 400:
                    raise
                raise TaggerError(
                    f"project {self.id} has answers that do not fit the changed taxonomy "
                    f"({'; '.join(changes)})",
                    path=self.connection.url,
                    hint="Pull them, then continue in a new project: --project TITLE",
                ) from error
        self.interface = config
        return changes

    def add_tabs(self) -> None:
        """Create missing tabs of the Data Manager, one per queue, lowest confidence first."""
        with self._client() as client:
            views = client.views.list(project=self.id)
            existing = {view.data.get("title") for view in views if view.data}
            for title in ("all papers", *_TABS):
                by_queue = _filter("data.queue", "equal", "String", title)
                if title not in existing:
                    tab = _tab(title, [by_queue] if title in _TABS else [])
                    client.views.create(project=self.id, data=tab)

    def show_conflicts(self, tasks: Collection[int], exported: list[dict[str, Any]]) -> None:
        """List the tasks that reviewers disagree on in a tab; without any, remove the tab.

        Of the ``exported`` tasks, these alone offer to settle a disagreement.
        """
        for task in exported:
            data, offered = task.get("data"), [SETTLE] if task["id"] in tasks else []
            if isinstance(data, dict) and data.get(VERDICTS, []) != offered:
                with self._client(f"task {task['id']}") as client:
                    client.tasks.update(str(task["id"]), data={**data, VERDICTS: offered})
        tab = _tab(CONFLICTS, [_filter("id", "equal", "Number", task) for task in sorted(tasks)])
        with self._client() as client:
            views = [view for view in client.views.list(project=self.id) if view.data]
            old = [view for view in views if view.data.get("title") == CONFLICTS]
            if tasks and [view.data.get("filters") for view in old] == [tab["filters"]]:
                return
            for view in old:
                client.views.delete(str(view.id))
            if tasks:
                client.views.create(project=self.id, data=tab)

    @contextmanager
    def _client(self, subject: str | None = None) -> Iterator[Any]:
        with self.connection.errors(subject or f"project {self.id}"):
            yield self.connection.client

    def _project(self) -> Any:
        with self._client() as client:
            return client.projects.get(self.id)

    def _list_tasks(self, fields: list[str]) -> list[Any]:
        """List all tasks with the given fields, again if their number is wrong."""
        for _ in range(_ATTEMPTS):
            count = self.task_count()
            if not count:
                return []
            with self._client() as client:
                pages = client.tasks.list(project=self.id, page_size=_PAGE_SIZE, include=fields)
                tasks = {task.id: task for task in pages}
            if len(tasks) == count:
                return list(tasks.values())
        raise self.connection.inconsistent(
            f"project {self.id} has {count} tasks, but {len(tasks)} are listed"
        )

    def _act(self, action: str, tasks: Sequence[int]) -> None:
        if tasks:
            selected = {"all": False, "included": list(tasks)}
            with self._client() as client:
                client.actions.create(id=action, project=self.id, selected_items=selected)


def _filter(column: str, operator: str, kind: str, value: object) -> dict[str, Any]:
    name = f"filter:tasks:{column}"
    return {"filter": name, "operator": operator, "type": kind, "value": value}


def _tab(title: str, filters: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a tab with the tasks that fit one of the filters; all tasks without a filter."""
    return {
        "title": title,
        "type": "list",
        "target": "tasks",
        "ordering": ["tasks:predictions_score"],
        "hiddenColumns": {
            "explore": [f"tasks:{column}" for column in _HIDDEN_COLUMNS.split()],
            "labeling": [],
        },
        "filters": {"conjunction": "or", "items": filters},
    }


def open_project(
    connection: Connection, taxonomy: Taxonomy, name: str | None, *, create: bool = False
) -> ReviewProject:
    """Return the review project of a taxonomy, created if it is missing and ``create`` is set.

    ``name`` is the number or title of a project, by default ``tagger: `` and the taxonomy's name.
    Raises a TaggerError if the project does not exist, is ambiguous or has none of the facets.
    """
    title = name or f"tagger: {taxonomy.name}"[:_TITLE_LENGTH]
    with connection.errors(f"project {title}"):
        number = name and name.isascii() and name.isdigit()
        found = [int(title)] if number else _find_by_title(connection, title)
    if len(found) > 1:
        raise TaggerError(
            f"several projects have the title '{title}'",
            path=connection.url,
            hint=f"Choose one by number with --project: {', '.join(map(str, found))}",
        )
    if not found and not create:
        raise TaggerError(
            f"there is no project '{title}'",
            path=connection.url,
            hint="'tagger review push' creates it. If it was renamed: give its new title with "
            f"--project. If it was deleted: {PULLED_STAYS}",
        )
    if not found:
        return _create(connection, taxonomy, title)
    project = ReviewProject(connection, found[0])
    interface = project.interface
    if not (has_facet_of(interface, taxonomy) if name else is_review_interface(interface)):
        raise TaggerError(
            f"project {project.id} '{project.title}' is not a review project of the taxonomy "
            f"'{taxonomy.name}': its interface has none of the facets",
            path=connection.url,
            hint="Choose another with --project, or omit the option",
        )
    if create and not number and not project.description:
        # Projects of earlier versions have none; a text that a user wrote stays.
        with connection.errors(f"project {title}"):
            connection.client.projects.update(project.id, description=_DESCRIPTION.format(title))
    return project


def _create(connection: Connection, taxonomy: Taxonomy, title: str) -> ReviewProject:
    if not 3 <= len(title) <= _TITLE_LENGTH:
        raise TaggerError(
            f"'{title}' is not a valid title of a project",
            hint=f"A title has 3 to {_TITLE_LENGTH} characters",
        )
    with connection.errors():
        created = connection.client.projects.create(
            title=title,
            description=_DESCRIPTION.format(title),
            label_config=build_interface(taxonomy),
            sampling="Uncertainty sampling",
            show_collab_predictions=True,
            enable_empty_annotation=True,
        )
        number = int(created.id or 0)
        # If another process created one at the same time, the first is kept.
        first = min([number, *_find_by_title(connection, title)])
        if first != number:
            connection.client.projects.delete(number)
    return ReviewProject(connection, first)


def _find_by_title(connection: Connection, title: str) -> list[int]:
    """Return the numbers of the projects with a title, or else of those that were created so."""
    projects: Any = connection.client.projects.list(page_size=100)
    found = [(int(one.id or 0), one.title, one.description) for one in projects]
    if len({number for number, *_ in found}) < projects.response.count:
        # Otherwise an existing project could be created again.
        raise connection.inconsistent("the list of projects is incomplete")
    created = _DESCRIPTION.format(title)
    return [number for number, name, _ in found if name == title] or [
        number for number, _, description in found if description == created
    ]
