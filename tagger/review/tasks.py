"""Tasks and annotations of Label Studio, in the terms of this project and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
)

from tagger._util.validation import first_problem
from tagger.errors import TaggerError
from tagger.labels import Label, Origin, Prediction, Text
from tagger.papers import Paper, TaggedPaper, paper_id
from tagger.review.interface import (
    CANNOT_TELL,
    FINAL,
    NOT_A_PAPER,
    NOTE,
    PAPER,
    VERDICT,
    is_tree,
    tag_path,
)
from tagger.taxonomy import Tags, Taxonomy

Queue = Literal["confused", "unfamiliar", "random", "checked", "recheck"]
QUEUES: dict[Queue, str] = {
    "confused": "the model wavers between tags",
    "unfamiliar": "nothing like it is labelled",
    "random": "drawn by chance, to measure honestly",
    "checked": "the model is sure; chosen by the strategy all the same",
    "recheck": "a label that is in question",
}
NO_ABSTRACT = "(no abstract)"
UNAIDED = ("blind", "recheck")
"""Queues, as a task shows them, whose tasks carry no suggestion."""
_BLIND = "Tag this paper without a suggestion."


class TaskMeta(BaseModel):
    """What a task remembers and the reviewer does not see.

    ``shown`` is false for a task that was sent without suggestions; ``facets`` are those that the
    interface offered, so that a facet added later does not count as judged. ``taxonomy`` is the
    version that the interface was made of, and the tags are of.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    tags: dict[str, tuple[str, ...]]
    shown: bool
    queue: Queue
    facets: tuple[str, ...]
    taxonomy: str | None = None


class _Annotation(BaseModel):
    """An annotation as Label Studio exports it, as far as it matters here."""

    unique_id: Text
    updated_at: AwareDatetime
    result: list[dict[str, Any]]
    lead_time: FiniteFloat | None = None


class _Person(BaseModel):
    id: int


class _ExportedAnnotation(BaseModel):
    unique_id: Text
    was_cancelled: bool
    completed_by: int | _Person


class _ExportedTask(BaseModel):
    id: int
    annotations: list[_ExportedAnnotation]


def read_export(exported: bytes) -> list[dict[str, Any]]:
    """Return exported tasks, of which each annotation has an id; answers are checked later.

    A :class:`ValueError` is raised if something else was exported.
    """
    try:
        tasks: list[dict[str, Any]] = json.loads(exported)
        TypeAdapter(list[_ExportedTask]).validate_python(tasks)
    except ValidationError as error:
        raise ValueError(f"its export lacks {first_problem(error).field or 'a list'}") from error
    except RecursionError as error:
        raise ValueError("its export is nested too deeply") from error
    return tasks


class TaskError(Exception):
    """A task or annotation that is not ours, or that does not fit the taxonomy."""


def make_task(
    paper: Paper,
    tagged: TaggedPaper,
    taxonomy: Taxonomy,
    queue: Queue,
    reason: str,
    *,
    shown: bool = True,
) -> dict[str, Any]:
    """Make the task of a paper, with what the model says as a prediction if it is ``shown``."""
    # Otherwise the reviewer is not told why the paper is there, unless it is to be rechecked.
    told = shown or queue == "recheck"
    meta = TaskMeta(
        model=tagged.model,
        tags=tagged.tags,
        shown=shown,
        queue=queue,
        facets=tuple(facet.name for facet in taxonomy.facets),
        taxonomy=taxonomy.version,
    )
    return {
        "data": {
            "paper": paper.id,
            "title": paper.title,
            "abstract": paper.abstract or NO_ABSTRACT,
            "source": ", ".join(paper.sources),
            "queue": queue if told else "blind",
            "reason": reason if told else _BLIND,
        },
        "meta": meta.model_dump(mode="json"),
        "predictions": [make_prediction(tagged, taxonomy)] if shown else [],
    }


def make_prediction(tagged: TaggedPaper, taxonomy: Taxonomy) -> dict[str, Any]:
    """Make a prediction: what is filled in, the model version, and the paper's confidence."""
    return {
        "model_version": tagged.model,
        "score": tagged.paper_confidence,
        "result": make_result(tagged.tags, taxonomy),
    }


def make_result(tags: Mapping[str, Sequence[str]], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Write tags as the result of a prediction or an annotation."""
    result = []
    for facet in taxonomy.facets:
        if given := tags.get(facet.name):
            kind = "taxonomy" if is_tree(facet) else "choices"
            value = {kind: [tag_path(facet, tag) if is_tree(facet) else tag for tag in given]}
            result.append({"from_name": facet.name, "to_name": PAPER, "type": kind, "value": value})
    return result


def read_paper(data: Any) -> Paper:
    """Return the paper of a task; a :class:`TaskError` is raised if it has no title."""
    data = data if isinstance(data, Mapping) else {}
    title, abstract = data.get("title"), data.get("abstract")
    if not isinstance(title, str) or not title.strip() or not isinstance(abstract, str):
        raise TaskError("is none of ours: it has no title and abstract")
    abstract = "" if abstract == NO_ABSTRACT else abstract
    source = data.get("source")
    sources = tuple(source.split(", ")) if isinstance(source, str) and source else ()
    return Paper(title, abstract, sources, str(data.get("paper") or paper_id(title)))


def read_meta(meta: Any) -> TaskMeta | None:
    """Return what a task remembers; None if it was made by hand or by another program."""
    try:
        return TaskMeta.model_validate(meta)
    except ValidationError:
        return None


def read_label(
    task: Mapping[str, Any],
    annotation: Mapping[str, Any],
    annotator: str,
    taxonomy: Taxonomy,
    project: str,
) -> Label:
    """Read an exported annotation as a label, with the names that its interface offered.

    A :class:`TaskError` is raised if the task is none of ours, or a tag was never in the taxonomy.
    """
    paper = read_paper(task.get("data"))
    meta = read_meta(task.get("meta"))
    try:
        answer = _Annotation.model_validate(annotation)
    except ValidationError as error:
        place = first_problem(error).field
        raise TaskError(f"has an annotation that cannot be read: {place}") from error
    chosen = _choices(answer.result)
    verdicts = chosen.get(VERDICT, ())
    outcome: Literal["tagged", "not-a-paper", "cannot-tell"] = "tagged"
    tags: dict[str, tuple[str, ...]] = {}
    if NOT_A_PAPER in verdicts:
        outcome = "not-a-paper"
    elif CANNOT_TELL not in verdicts:
        tags = _read_tags(chosen, taxonomy, meta)
        try:
            taxonomy.check_tags(taxonomy.read(tags))
        except TaggerError as error:
            raise TaskError(f"does not fit the taxonomy: {error.problem}") from error
    if outcome == "tagged" and not tags:
        outcome = "cannot-tell"
    prediction = None
    if meta is None or meta.shown:
        # What was on the screen, though the task may have been refreshed since.
        prediction = _seen(annotation.get("prediction"), taxonomy, meta)
    if meta and prediction is None:
        prediction = Prediction(model=meta.model, tags=meta.tags, shown=meta.shown)
    try:
        label = Label(
            id=paper.id,
            title=paper.title,
            text=paper.abstract,
            outcome=outcome,
            tags=tags,
            annotator=annotator,
            time=answer.updated_at,
            source="review",
            final=FINAL in verdicts,
            note="\n".join(chosen.get(NOTE, ())) or None,
            taxonomy=(meta and meta.taxonomy) or taxonomy.version,
            prediction=prediction,
            origin=Origin(
                annotation=answer.unique_id,
                updated=answer.updated_at,
                project=project,
                task=task["id"],
                queue=meta.queue if meta else None,
                lead_time=answer.lead_time,
            ),
        )
        label.model_dump_json()
    except ValueError as error:
        # Halves of surrogate pairs, for example, which JSON may hold and a file may not.
        raise TaskError("has a text that a label file cannot hold") from error
    return label


def _seen(prediction: Any, taxonomy: Taxonomy, meta: TaskMeta | None) -> Prediction | None:
    """Return the prediction that Label Studio keeps with an annotation."""
    try:
        tags = _read_tags(_choices(prediction["result"]), taxonomy, None)
        # A facet that the model does not know is no prediction of "none".
        tags = {name: given for name, given in tags.items() if not meta or name in meta.tags}
        return Prediction(model=prediction["model_version"], tags=tags)
    except (TaskError, KeyError, TypeError, ValidationError):
        return None


def _choices(result: Any) -> dict[str, tuple[str, ...]]:
    """Return what was chosen or written in each control; of a path in a tree, its end."""
    chosen: dict[str, list[str]] = {}
    for entry in result if isinstance(result, list) else ():
        if isinstance(entry, dict):
            value = entry.get("value")
            paths = [path for path in _entries(value, "taxonomy") if isinstance(path, list)]
            own = [*_entries(value, "choices"), *_entries(value, "text")]
            own += [path[-1] for path in paths if path]
            chosen.setdefault(str(entry.get("from_name")), []).extend(map(str, own))
    return {name: tuple(values) for name, values in chosen.items()}


def _entries(value: Any, field: str) -> list[Any]:
    """Return the list in a field of a result's value; an empty one if there is none."""
    found = value.get(field) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _read_tags(
    chosen: Tags, taxonomy: Taxonomy, meta: TaskMeta | None
) -> dict[str, tuple[str, ...]]:
    """Return the tags per facet that was judged, under the names that were chosen."""
    tags: dict[str, tuple[str, ...]] = {}
    for facet in taxonomy.facets:
        values = tuple(dict.fromkeys(chosen.get(facet.name, ())))
        unknown = [value for value in values if value not in facet.readings]
        if unknown:
            raise TaskError(f"has a tag that the taxonomy lacks: {facet.name}: {unknown[0]}")
        if facet.exclusive:
            if len({facet.readings[value] for value in values}) == 1:
                tags[facet.name] = values
        elif values or meta is None or facet.name in meta.facets:
            current = [value for value in values if value in facet.tag_names]
            former = [value for value in values if value not in current]
            tags[facet.name] = (*former, *facet.with_ancestors(current))
    return tags


def tags_in_use(tasks: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """Return the facets and tags that annotations of exported tasks speak of."""
    return {
        (name, value)
        for task in tasks
        for annotation in task.get("annotations", ())
        for name, values in _choices(annotation.get("result")).items()
        for value in values
    }
