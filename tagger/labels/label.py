"""Labels: the tags that one person gave to one paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tagger.papers import Paper, paper_id

NonEmptyText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Prediction(BaseModel):
    """The prediction of a model for a paper at the time of its review.

    ``shown`` is false if the reviewer did not see it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: NonEmptyText
    tags: dict[str, tuple[str, ...]]
    shown: bool = True


class Origin(BaseModel):
    """The Label Studio annotation that a correction was made in.

    ``annotation`` is its unique id. ``project`` is the number and the creation time of the project,
    which distinguish it from a project with the same number on another server; ``here`` is the page
    of this machine.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    annotation: NonEmptyText
    updated: AwareDatetime
    project: NonEmptyText
    task: int
    lead_time: float | None = None
    """Seconds that the reviewer spent on the annotation."""


class Label(BaseModel):
    """The tags that one person gave to one paper; one line of a label file.

    Attributes
    ----------
    id:
        Identity of the paper; derived from the title if missing.
    title, text:
        Title and abstract. Without a text, the abstract is not stored with the label; an empty
        text says that the paper has none.
    outcome:
        An outcome other than ``tagged`` has no tags: the entry is not a paper, the annotator could
        not decide, or an earlier line of the same annotation is withdrawn.
    tags:
        Tags by facet. A missing facet was not annotated; an empty list means that no tag applies.
        A label read by a :class:`LabelStore` has current tags, and may have lost retired ones.
    source:
        ``seed`` for initial labels, ``review`` for corrections.
    final:
        Whether the label decides a conflict.
    taxonomy:
        Version of the taxonomy that the tags are taken from.
    queue:
        Queue that a reviewed paper was sent in. Only papers of the queue ``audit``, sampled at
        random and labelled without a suggestion, may calibrate, set thresholds and measure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: NonEmptyText
    title: NonEmptyText
    text: str | None = None
    outcome: Literal["tagged", "not-a-paper", "cannot-tell", "withdrawn"] = "tagged"
    tags: dict[str, tuple[str, ...]]
    annotator: NonEmptyText
    time: AwareDatetime
    source: Literal["seed", "review"]
    final: bool = False
    note: str | None = None
    taxonomy: NonEmptyText | None = None
    queue: NonEmptyText | None = None
    prediction: Prediction | None = None
    origin: Origin | None = None

    @model_validator(mode="before")
    @classmethod
    def _identify(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        data = dict(data)
        if "id" not in data:
            title = data.get("title")
            # A title that is not a text is reported by the validation of the field.
            data["id"] = paper_id(title if isinstance(title, str) else "")
        if isinstance(origin := data.get("origin"), Mapping) and "queue" in origin:
            # Written so before version 0.2, with another name for the audit.
            data["origin"] = {name: value for name, value in origin.items() if name != "queue"}
            data["queue"] = "audit" if origin["queue"] == "random" else origin["queue"]
        return data

    @field_validator("tags")
    @classmethod
    def _fit_outcome(
        cls, tags: dict[str, tuple[str, ...]], info: ValidationInfo
    ) -> dict[str, tuple[str, ...]]:
        tagged = info.data.get("outcome", "tagged") == "tagged"
        if tagged != bool(tags):
            raise ValueError(
                "expected at least 1 facet" if tagged else "this outcome must not have tags"
            )
        return tags

    @property
    def arrived(self) -> bool:
        """Whether the paper arrived to be tagged; a seed was chosen or written for training."""
        return self.source == "review"

    @property
    def audited(self) -> bool:
        """Whether the paper belongs to the audit sample."""
        return self.arrived and self.queue == "audit"

    @property
    def paper(self) -> Paper:
        """The labelled paper, without an abstract if that is not stored."""
        return Paper(self.title, self.text or "", id=self.id)
