"""A tagged paper: the record behind ``tags.jsonl``, tables, the report and ``decide``.

A column is added here; the files, their schemas and their descriptions follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, TypeAdapter

from tagger.papers.paper import IDENTIFIER_KINDS, Paper

Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Review:
    """Why a person should look at a paper: the facets in doubt, and the doubt in words."""

    facets: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class TaggedPaper:
    """One paper with its tags; as JSON, one line of ``tags.jsonl``.

    Raises
    ------
    ValueError
        If an identifier is of an unknown kind, or a tag has no confidence.
    """

    id: Annotated[str, Field(min_length=1)] = field(metadata={"holds": "identity of the paper"})
    title: str = field(metadata={"holds": "its title"})
    identifiers: tuple[str, ...] = field(
        metadata={"holds": "its DOI, arXiv id and PubMed number, as far as they are known"},
        kw_only=True,
        default=(),
    )
    sources: tuple[str, ...] = field(metadata={"holds": "the files that it stood in"})
    tags: dict[str, tuple[str, ...]] = field(metadata={"holds": "per facet, the tags given"})
    confidence: dict[str, dict[str, Probability]] = field(
        metadata={"holds": "per facet and tag, the calibrated probability"}
    )
    review: Review | None = field(
        metadata={
            "holds": "the facets in doubt and the doubt in words; null where no person need look"
        }
    )
    model: str = field(metadata={"holds": "what tagged it"})
    taxonomy: str = field(metadata={"holds": "the taxonomy that the tags are from"})
    time: AwareDatetime | None = field(
        metadata={"holds": "when the run wrote its results, in UTC"}, default=None
    )

    def __post_init__(self) -> None:
        for name in self.identifiers:
            if name.partition(":")[0] not in IDENTIFIER_KINDS:
                raise ValueError(f"'{name}' is no identifier")
        for facet, tags in self.tags.items():
            for tag in tags:
                if tag not in self.confidence.get(facet, {}):
                    raise ValueError(f"the tag '{tag}' of '{facet}' has no confidence")

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> TaggedPaper:
        """Return the paper of a line of ``tags.jsonl``; fields of later versions are ignored.

        Raises
        ------
        pydantic.ValidationError
            If the line lacks a field or a field has the wrong type.
        """
        return _ADAPTER.validate_python(row)

    @property
    def paper(self) -> Paper:
        """What tells the paper from others; its abstract is not known here."""
        return Paper(self.title, "", self.sources, self.id, self.identifiers)

    @property
    def paper_confidence(self) -> float:
        """As :func:`tagger.model.paper_confidence`."""
        return min(
            (
                probability if tag in self.tags.get(facet, ()) else 1 - probability
                for facet, probabilities in self.confidence.items()
                for tag, probability in probabilities.items()
            ),
            default=1.0,
        )

    def as_row(self) -> dict[str, Any]:
        """Return one line of ``tags.jsonl``."""
        row = {name: getattr(self, name) for name in COLUMNS}
        row["identifiers"], row["sources"] = list(self.identifiers), list(self.sources)
        row["tags"] = {facet: list(tags) for facet, tags in self.tags.items()}
        if self.review:
            row["review"] = {**asdict(self.review), "facets": list(self.review.facets)}
        row["time"] = self.time and self.time.isoformat(timespec="milliseconds")
        return row


COLUMNS: dict[str, str] = {column.name: column.metadata["holds"] for column in fields(TaggedPaper)}
"""What each field holds, by name."""
_ADAPTER = TypeAdapter(TaggedPaper)
