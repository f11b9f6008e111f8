"""The project of a taxonomy in Label Studio: found or made, its tasks and annotations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from tagger.errors import TaggerError
from tagger.papers import Paper
from tagger.review.connection import Connection
from tagger.review.interface import (
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
_READINGS = 3
"""How often a list is read that does not hold as many entries as it should."""
_FIELDS = ["id", "data", "meta", "total_annotations", "cancelled_annotations", "drafts"]
_TABS: tuple[Queue, ...] = ("confused", "unfamiliar", "recheck")
# Of the Data Manager's columns a reviewer needs title, queue and how sure the model is.
_HIDDEN_COLUMNS = [
    "tasks:inner_id",
    "tasks:completed_at",
    "tasks:cancelled_annotations",
    "tasks:total_predictions",
    "tasks:annotators",
    "tasks:annotations_results",
    "tasks:annotations_ids",
    "tasks:predictions_results",
    "tasks:predictions_model_versions",
    "tasks:file_upload",
    "tasks:storage_filename",
    "tasks:created_at",
    "tasks:updated_at",
    "tasks:updated_by",
    "tasks:avg_lead_time",
    "tasks:draft_exists",
    "tasks:data.paper",
    "tasks:data.abstract",
    "tasks:data.reason",
]
_DESCRIPTION = "Papers that tagger is unsure of. The interface is kept in step with the taxonomy."


@dataclass(frozen=True, slots=True)
class ReviewTask:
    """A task; ``meta`` is None if it was made by hand, ``begun`` tells whether there is a draft."""

    id: int
    paper: Paper
    data: dict[str, Any]
    meta: TaskMeta | None
    done: bool
    skipped: bool
    begun: bool = False

    @property
    def touched(self) -> bool:
        """Whether anybody has dealt with it."""
        return self.done or self.skipped or self.begun

    @property
    def is_recheck(self) -> bool:
        """Whether it asks about a label that is there."""
        return self.meta is not None and self.meta.queue == "recheck"


class ReviewProject:
    """A project in Label Studio; if the server does not obey, a :class:`TaggerError` is raised."""

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection = connection
        self.id = number
        project = self._project()
        self.title = str(project.title)
        self.interface = str(project.label_config)
        self.model_version = project.model_version or ""
        created = project.created_at
        self.key = f"{project.id}/{created.isoformat() if created else ''}"
        """Tells the project from one of the same number on another server."""

    @property
    def url(self) -> str:
        """Where a person finds the project."""
        return f"{self.connection.url}/projects/{self.id}/data"

    def task_count(self) -> int:
        """Return how many tasks the project has."""
        return int(self._project().task_number or 0)

    def tasks(self) -> tuple[list[ReviewTask], list[str]]:
        """Return all tasks by number, and in words those that are none of ours."""
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
        """Add tasks with their predictions, all of them or none."""
        with self._client() as client:
            client.projects.import_tasks(self.id, request=tasks)

    def delete_tasks(self, tasks: Sequence[int]) -> None:
        """Delete tasks with all that belongs to them."""
        self._act("delete_tasks", tasks)

    def replace_predictions(self, predictions: dict[int, dict[str, Any]]) -> None:
        """Put one prediction in place of all those of each task."""
        if predictions:
            self._act("delete_tasks_predictions", list(predictions))
            entries = [{"task": task, **content} for task, content in predictions.items()]
            with self._client() as client:
                client.projects.import_predictions(self.id, request=entries)

    def update_task(self, task: int, data: dict[str, Any], meta: dict[str, Any]) -> None:
        """Replace what a task shows and remembers."""
        with self._client(f"task {task}") as client:
            client.tasks.update(str(task), data=data, meta=meta)

    def show_predictions_of(self, model: str) -> None:
        """Make the predictions of a model the ones that are filled in."""
        if model != self.model_version:
            with self._client() as client:
                client.projects.update(self.id, model_version=model, show_collab_predictions=True)
            self.model_version = model

    def annotated_tasks(self) -> list[dict[str, Any]]:
        """Return the tasks that somebody has dealt with, with their annotations, as exported."""
        for _ in range(_READINGS):
            counted = self._project().total_annotations_number or 0
            with self._client() as client:
                chunks = client.projects.exports.download_sync(self.id, export_type="JSON")
                exported = read_export(b"".join(chunks))
            # A task that an export holds twice is one.
            tasks = list({task["id"]: task for task in exported}.values())
            answers = [answer for task in tasks for answer in task["annotations"]]
            found = sum(not answer["was_cancelled"] for answer in answers)
            # More may have come meanwhile.
            if found >= counted:
                return tasks
        raise self.connection.inconsistent(
            f"project {self.id} has {counted} annotations, and {found} are exported"
        )

    def annotation_counts(self) -> dict[int, int]:
        """Return, of each task by number, how many annotations it has, passed over or not."""
        return {
            task.id: (task.total_annotations or 0) + (task.cancelled_annotations or 0)
            for task in self._list_tasks(["id", "total_annotations", "cancelled_annotations"])
        }

    def annotators(self) -> dict[int, str]:
        """Return the e-mail address of each user by number."""
        with self._client("list of users") as client:
            found = {user.id: user.email or f"user-{user.id}" for user in client.users.list()}
            if self.connection.user.id not in found:
                raise self.connection.inconsistent("the list of users lacks this account")
            return found

    def fit_interface(self, taxonomy: Taxonomy) -> list[str]:
        """Make the interface fit the taxonomy; return what was changed, in words."""
        from label_studio_sdk.core.api_error import ApiError

        @cache
        def in_use() -> InUse:
            return tags_in_use(self.annotated_tasks())

        config, changes = adapt_interface(self.interface, taxonomy, in_use)
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
                    hint="Pull them, then go on in a new project: --project TITLE",
                ) from error
        self.interface = config
        return changes

    def add_tabs(self) -> None:
        """Make a tab of the Data Manager for each queue that has none, least sure first."""
        with self._client() as client:
            views = client.views.list(project=self.id)
            present = {view.data.get("title") for view in views if view.data}
            for title in ("all papers", *_TABS):
                of_queue = {"filter": "filter:tasks:data.queue", "operator": "equal"}
                filters = [{**of_queue, "type": "String", "value": title}] * (title in _TABS)
                data = {
                    "title": title,
                    "type": "list",
                    "target": "tasks",
                    "ordering": ["tasks:predictions_score"],
                    "hiddenColumns": {"explore": _HIDDEN_COLUMNS, "labeling": []},
                    "filters": {"conjunction": "and", "items": filters},
                }
                if title not in present:
                    client.views.create(project=self.id, data=data)

    @contextmanager
    def _client(self, subject: str | None = None) -> Iterator[Any]:
        with self.connection.errors(subject or f"project {self.id}"):
            yield self.connection.client

    def _project(self) -> Any:
        with self._client() as client:
            return client.projects.get(self.id)

    def _list_tasks(self, fields: list[str]) -> list[Any]:
        """Return the fields of all tasks; what does not add up to their number is read again."""
        for _ in range(_READINGS):
            count = self.task_count()
            if not count:
                return []
            with self._client() as client:
                pages = client.tasks.list(project=self.id, page_size=_PAGE_SIZE, include=fields)
                tasks = {task.id: task for task in pages}
            if len(tasks) == count:
                return list(tasks.values())
        raise self.connection.inconsistent(
            f"project {self.id} has {count} tasks, and {len(tasks)} are listed"
        )

    def _act(self, action: str, tasks: Sequence[int]) -> None:
        if tasks:
            selected = {"all": False, "included": list(tasks)}
            with self._client() as client:
                client.actions.create(id=action, project=self.id, selected_items=selected)


def open_project(
    connection: Connection, taxonomy: Taxonomy, name: str | None, *, create: bool = False
) -> ReviewProject:
    """Return the review project of a taxonomy; make it if there is none and ``create`` is set.

    ``name`` is the number or title of a project, by default ``tagger: `` and the taxonomy's name.
    """
    title = name or f"tagger: {taxonomy.name}"[:_TITLE_LENGTH]
    with connection.errors(f"project {title}"):
        number = name and name.isascii() and name.isdigit()
        found = [int(title)] if number else _called(connection, title)
    if len(found) > 1:
        raise TaggerError(
            f"several projects are called '{title}'",
            path=connection.url,
            hint=f"Name one of them by number with --project: {', '.join(map(str, found))}",
        )
    if not found and not create:
        raise TaggerError(
            f"there is no project '{title}'",
            path=connection.url,
            hint="'tagger review push' makes it",
        )
    if not found:
        return _create(connection, taxonomy, title)
    project = ReviewProject(connection, found[0])
    interface = project.interface
    if not (has_facet_of(interface, taxonomy) if name else is_review_interface(interface)):
        raise TaggerError(
            f"project {project.id} '{project.title}' is no review project of the taxonomy "
            f"'{taxonomy.name}': its interface has none of the facets",
            path=connection.url,
            hint="Name another with --project, or leave that out",
        )
    return project


def _create(connection: Connection, taxonomy: Taxonomy, title: str) -> ReviewProject:
    if not 3 <= len(title) <= _TITLE_LENGTH:
        raise TaggerError(
            f"a project cannot be called '{title}'",
            hint=f"A title has 3 to {_TITLE_LENGTH} characters",
        )
    with connection.errors():
        made = connection.client.projects.create(
            title=title,
            description=_DESCRIPTION,
            label_config=build_interface(taxonomy),
            sampling="Uncertainty sampling",
            show_collab_predictions=True,
            enable_empty_annotation=True,
        )
        number = int(made.id or 0)
        # Of several made at the same moment the first one stays.
        first = min([number, *_called(connection, title)])
        if first != number:
            connection.client.projects.delete(number)
    return ReviewProject(connection, first)


def _called(connection: Connection, title: str) -> list[int]:
    """Return the numbers of the projects of a title."""
    projects: Any = connection.client.projects.list(page_size=100)
    titles = {int(project.id or 0): project.title for project in projects}
    if len(titles) < projects.response.count:
        # A project that is there must not be made again.
        raise connection.inconsistent("the list of projects is not whole")
    return [number for number, known in titles.items() if known == title]
