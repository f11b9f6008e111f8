"""Convert papers to tasks of Label Studio, and its annotations to labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
)

from tagger._util.validation import first_problem
from tagger.errors import TaggerError
from tagger.labels import Label, NonEmptyText, Origin, Prediction
from tagger.papers import Paper, TaggedPaper, paper_id
from tagger.review.evidence import Evidence, marked_abstract
from tagger.review.interface import (
    ALL_TAGS,
    CANNOT_TELL,
    FINAL,
    NOT_A_PAPER,
    NOTE,
    PAPER,
    VERDICT,
    VERDICTS,
    data_name,
    is_tree,
    tag_path,
)
from tagger.taxonomy import Tags, Taxonomy

Queue = Literal["confused", "unfamiliar", "audit", "versions", "checked", "recheck"]
QUEUES: dict[Queue, str] = {
    "confused": "the model is uncertain between tags",
    "unfamiliar": "no similar paper is labelled",
    "audit": "drawn at random, to measure accuracy",
    "versions": "two versions of the model disagree",
    "checked": "the model is confident; chosen by the strategy",
    "recheck": "the label may be wrong",
}
NO_ABSTRACT = "(no abstract)"
BLIND_QUEUES: tuple[Queue, ...] = ("audit", "versions", "recheck")
"""Queues whose tasks never have suggestions."""
BLIND = "blind"
"""Displayed as the queue of a task without suggestions, in place of its own."""
_LEAST_SHOWN = 0.05
"""Least confidence that is displayed next to a tag that is not suggested."""
_BLIND = "Tag this paper without a suggestion."


class TaskMeta(BaseModel):
    """Metadata of a task, hidden from the reviewer.

    ``model`` predicted ``tags``; ``shown`` tells whether they were sent as suggestions. ``facets``
    are those that the task asks about: an empty answer to any other, such as a facet added later,
    does not count as annotated.
    ``taxonomy`` is the taxonomy version of the interface and the tags.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    tags: dict[str, tuple[str, ...]]
    shown: bool
    queue: Annotated[Queue, BeforeValidator(lambda queue: "audit" if queue == "random" else queue)]
    facets: tuple[str, ...]
    taxonomy: str | None = None


class _Annotation(BaseModel):
    """The fields of an exported annotation that a label needs."""

    unique_id: NonEmptyText
    updated_at: AwareDatetime
    result: list[dict[str, Any]]
    lead_time: FiniteFloat | None = None


class _Person(BaseModel):
    id: int


class _ExportedAnnotation(BaseModel):
    unique_id: NonEmptyText
    was_cancelled: bool
    completed_by: int | _Person


class _ExportedTask(BaseModel):
    id: int
    annotations: list[_ExportedAnnotation]


def read_export(exported: bytes) -> list[dict[str, Any]]:
    """Parse an export of tasks, checking only ids; the answers are checked later.

    Raises a ValueError if the export has another form.
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
    """A task or annotation that cannot be read, or does not fit the taxonomy.

    The message continues a sentence that begins with the task, as in "task 3 has no title".
    """


def make_task(
    paper: Paper,
    tagged: TaggedPaper,
    taxonomy: Taxonomy,
    queue: Queue,
    reason: str,
    *,
    shown: bool = True,
    evidence: Evidence | None = None,
    facets: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Return the task of a paper, which asks about some facets, by default all.

    If ``shown``, it has the model's tags as a prediction, and the sentences of ``evidence`` for
    these tags are marked. A task of :data:`BLIND_QUEUES` never has either.
    """
    shown = shown and queue not in BLIND_QUEUES
    # The reason would hint at the tags; only a recheck shows it without suggestions.
    shows_reason = shown or queue == "recheck"
    meta = TaskMeta(
        model=tagged.model,
        tags=tagged.tags,
        shown=shown,
        queue=queue,
        facets=facets or tuple(facet.name for facet in taxonomy.facets),
        taxonomy=taxonomy.version,
    )
    return {
        "data": {
            "paper": paper.id,
            "title": paper.title,
            "abstract": paper.abstract or NO_ABSTRACT,
            "marked": marked_abstract(paper, evidence or {}, tagged.tags if shown else {})
            or NO_ABSTRACT,
            "source": ", ".join(paper.sources),
            "confidence": _shown_confidences(tagged, taxonomy) if shown else {},
            "queue": queue if shows_reason else BLIND,
            "reason": reason if shows_reason else _BLIND,
            VERDICTS: [],
        },
        "meta": meta.model_dump(mode="json"),
        "predictions": [make_prediction(tagged, taxonomy)] if shown else [],
    }


def _shown_confidences(tagged: TaggedPaper, taxonomy: Taxonomy) -> dict[str, dict[str, str]]:
    """Return the confidences to show by facet and tag, as the interface refers to them."""
    shown = {}
    for facet in taxonomy.facets:
        texts = {
            tag: f"{confidence:.2f}"
            for tag, confidence in tagged.confidence.get(facet.name, {}).items()
            if confidence >= _LEAST_SHOWN or tag in tagged.tags[facet.name]
        }
        if is_tree(facet):
            texts = {ALL_TAGS: ", ".join(f"{tag} {text}" for tag, text in texts.items())}
        shown[data_name(facet.name)] = {data_name(tag): text for tag, text in texts.items()}
    return shown


def make_prediction(tagged: TaggedPaper, taxonomy: Taxonomy) -> dict[str, Any]:
    """Return a prediction for Label Studio: suggested tags, model version and confidence."""
    return {
        "model_version": tagged.model,
        "score": tagged.paper_confidence,
        "result": make_result(tagged.tags, taxonomy),
    }


def make_result(tags: Mapping[str, Sequence[str]], taxonomy: Taxonomy) -> list[dict[str, Any]]:
    """Convert tags to the result of a prediction or annotation."""
    result = []
    for facet in taxonomy.facets:
        if names := tags.get(facet.name):
            kind = "taxonomy" if is_tree(facet) else "choices"
            value = {kind: [tag_path(facet, tag) if is_tree(facet) else tag for tag in names]}
            result.append({"from_name": facet.name, "to_name": PAPER, "type": kind, "value": value})
    return result


def read_paper(data: Any) -> Paper:
    """Return the paper of a task; raises a :class:`TaskError` without a title and abstract."""
    data = data if isinstance(data, Mapping) else {}
    title, abstract = data.get("title"), data.get("abstract")
    if not isinstance(title, str) or not title.strip() or not isinstance(abstract, str):
        raise TaskError("has no title and abstract, so it was not created by tagger")
    abstract = "" if abstract == NO_ABSTRACT else abstract
    source = data.get("source")
    sources = tuple(source.split(", ")) if isinstance(source, str) and source else ()
    return Paper(title, abstract, sources, str(data.get("paper") or paper_id(title)))


def read_meta(meta: Any) -> TaskMeta | None:
    """Return the metadata of a task, or None if it was created by hand or another program."""
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
    """Convert an exported annotation to a label, with the tag names of its interface.

    Raises a :class:`TaskError` if task or annotation cannot be read, or a tag is neither a current
    nor a former name in the taxonomy.
    """
    paper = read_paper(task.get("data"))
    meta = read_meta(task.get("meta"))
    try:
        answer = _Annotation.model_validate(annotation)
    except ValidationError as error:
        place = first_problem(error).field
        raise TaskError(f"has an annotation with an invalid field: {place}") from error
    chosen = _choices(answer.result)
    outcome, tags = _read_outcome(chosen, taxonomy, meta)
    prediction = None
    if meta is None or meta.shown:
        # The prediction that was on the screen; the task may have been refreshed since.
        prediction = _shown_prediction(annotation.get("prediction"), taxonomy, meta)
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
            final=FINAL in chosen.get(VERDICT, ()),
            note="\n".join(chosen.get(NOTE, ())) or None,
            taxonomy=(meta and meta.taxonomy) or taxonomy.version,
            queue=meta.queue if meta else None,
            prediction=prediction,
            origin=Origin(
                annotation=answer.unique_id,
                updated=answer.updated_at,
                project=project,
                task=task["id"],
                lead_time=answer.lead_time,
            ),
        )
        label.model_dump_json()
    except ValueError as error:
        # For example lone surrogates, which JSON can hold but UTF-8 cannot.
        raise TaskError("has text that cannot be written to a label file") from error
    return label


def _read_outcome(
    chosen: Tags, taxonomy: Taxonomy, meta: TaskMeta | None
) -> tuple[Literal["tagged", "not-a-paper", "cannot-tell"], dict[str, tuple[str, ...]]]:
    """Return the outcome of an annotation and its tags per annotated facet."""
    verdicts = chosen.get(VERDICT, ())
    if NOT_A_PAPER in verdicts:
        return "not-a-paper", {}
    if CANNOT_TELL in verdicts:
        return "cannot-tell", {}
    tags = _read_tags(chosen, taxonomy, meta)
    try:
        taxonomy.check_tags(taxonomy.read(tags))
    except TaggerError as error:
        raise TaskError(f"does not fit the taxonomy: {error.problem}") from error
    return ("tagged" if tags else "cannot-tell"), tags


def _shown_prediction(
    prediction: Any, taxonomy: Taxonomy, meta: TaskMeta | None
) -> Prediction | None:
    """Return the prediction that Label Studio stored with an annotation, or None."""
    try:
        tags = _read_tags(_choices(prediction["result"]), taxonomy, None)
        # A facet that the model lacks was not predicted as "no tags".
        tags = {name: value for name, value in tags.items() if not meta or name in meta.tags}
        return Prediction(model=prediction["model_version"], tags=tags)
    except (TaskError, KeyError, TypeError, ValidationError):
        return None


def _choices(result: Any) -> dict[str, tuple[str, ...]]:
    """Return the choices or texts of each control; of a path in a tree only its last tag."""
    chosen: dict[str, list[str]] = {}
    for entry in _list(result):
        if isinstance(entry, dict) and isinstance(value := entry.get("value"), dict):
            values = [*_list(value.get("choices")), *_list(value.get("text"))]
            values += [path[-1] for path in _list(value.get("taxonomy")) if _list(path)]
            chosen.setdefault(str(entry.get("from_name")), []).extend(map(str, values))
    return {name: tuple(values) for name, values in chosen.items()}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _read_tags(
    chosen: Tags, taxonomy: Taxonomy, meta: TaskMeta | None
) -> dict[str, tuple[str, ...]]:
    """Return the chosen tags of each annotated facet, including former names."""
    tags: dict[str, tuple[str, ...]] = {}
    for facet in taxonomy.facets:
        values = tuple(dict.fromkeys(chosen.get(facet.name, ())))
        unknown = [value for value in values if value not in facet.meanings]
        if unknown:
            raise TaskError(f"has the unknown tag '{unknown[0]}' in the facet '{facet.name}'")
        if facet.exclusive:
            if len({facet.meanings[value] for value in values}) == 1:
                tags[facet.name] = values
        elif values or meta is None or facet.name in meta.facets:
            current = [value for value in values if value in facet.tag_names]
            former = [value for value in values if value not in current]
            tags[facet.name] = (*former, *facet.with_ancestors(current))
    return tags


def facets_gone(
    task: Mapping[str, Any], annotation: Mapping[str, Any], taxonomy: Taxonomy
) -> list[str]:
    """Return the facets with tags in an annotation that the taxonomy had, but has no more."""
    meta, chosen = read_meta(task.get("meta")), _choices(annotation["result"])
    current = {facet.name for facet in taxonomy.facets}
    former = dict.fromkeys((*meta.facets, *meta.tags)) if meta else ()
    return [name for name in former if chosen.get(name) and name not in current]


def tags_in_use(tasks: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """Return the pairs of facet and tag that occur in annotations of exported tasks."""
    return {
        (name, value)
        for task in tasks
        for annotation in task.get("annotations", ())
        for name, values in _choices(annotation.get("result")).items()
        for value in values
    }
