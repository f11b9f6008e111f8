"""A tagged paper: the record behind ``tags.jsonl``, tables, the report and ``decide``.

To add a column, add a field here and set it in :mod:`tagger.model.decision`. The files, their
schemas and descriptions are derived from it. ``tagger/report/page.html.j2`` displays it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, TypeAdapter

from tagger.papers.paper import IDENTIFIER_KINDS, Paper

Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Review:
    """Why a person should check a paper: the uncertain facets, and the reason in words."""

    facets: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class TaggedPaper:
    """A paper with its tags; as JSON, one line of ``tags.jsonl``.

    Raises ValueError if an identifier has an unknown kind, or the confidence of a tag is missing.
    """

    id: Annotated[str, Field(min_length=1)] = field(metadata={"holds": "identity of the paper"})
    title: str = field(metadata={"holds": "its title"})
    identifiers: tuple[str, ...] = field(
        metadata={"holds": "its DOI, arXiv id, PubMed number and others, if known"},
        kw_only=True,
        default=(),
    )
    sources: tuple[str, ...] = field(metadata={"holds": "the files that contain it"})
    tags: dict[str, tuple[str, ...]] = field(metadata={"holds": "its tags per facet"})
    confidence: dict[str, dict[str, Probability]] = field(
        metadata={"holds": "per facet and tag, the calibrated probability"}
    )
    review: Review | None = field(
        metadata={"holds": "the uncertain facets and the reason; null if no review is needed"}
    )
    model: str = field(metadata={"holds": "the model that tagged it"})
    taxonomy: str = field(metadata={"holds": "the version of the taxonomy"})
    time: AwareDatetime | None = field(
        metadata={"holds": "when the run wrote its results, in UTC"}, default=None
    )

    def __post_init__(self) -> None:
        for name in self.identifiers:
            if name.partition(":")[0] not in IDENTIFIER_KINDS:
                known = ", ".join(f"{kind}:" for kind in IDENTIFIER_KINDS)
                raise ValueError(f"the identifier '{name}' must begin with one of {known}")
        for facet, tags in self.tags.items():
            for tag in tags:
                if tag not in self.confidence.get(facet, {}):
                    raise ValueError(f"the confidence of the tag '{facet}/{tag}' is missing")

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> TaggedPaper:
        """Validate one line of ``tags.jsonl``; unknown fields of later versions are ignored.

        Raises pydantic.ValidationError if a field is missing or has the wrong type.
        """
        return _ADAPTER.validate_python(row)

    @property
    def paper(self) -> Paper:
        """The paper without its abstract, which is not recorded."""
        return Paper(self.title, "", self.sources, self.id, self.identifiers)

    @property
    def paper_confidence(self) -> float:
        """The confidence of the least certain tag decision, as in the review of papers."""
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
        row: dict[str, Any] = _ADAPTER.dump_python(self, mode="json", warnings=False)
        row["time"] = self.time and self.time.isoformat(timespec="milliseconds")
        return row


COLUMNS: dict[str, str] = {column.name: column.metadata["holds"] for column in fields(TaggedPaper)}
"""Description of each column by name."""
_ADAPTER = TypeAdapter(TaggedPaper)
