"""Read what ``tagger tag`` wrote: the papers of a result folder and its near duplicates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tagger.decision import Review
from tagger.errors import TaggerError
from tagger.tagging import NEAR_DUPLICATES_FILE
from tagger.taxonomy import describe_validation_error, field_name
from tagger.writers import TAGS_FILE

Share = Annotated[float, Field(ge=0, le=1)]


class _Line(BaseModel):
    # Fields that later versions add are no reason to refuse a line.
    model_config = ConfigDict(extra="ignore", frozen=True)


class TaggedPaper(_Line):
    """One line of ``tags.jsonl``."""

    id: Annotated[str, Field(min_length=1)]
    title: str
    sources: tuple[str, ...]
    tags: dict[str, tuple[str, ...]]
    confidence: dict[str, dict[str, Share]]
    review: Review | None
    model: str
    taxonomy: str

    @model_validator(mode="after")
    def _be_sure_of_each_tag(self) -> TaggedPaper:
        for facet, tags in self.tags.items():
            for tag in tags:
                if tag not in self.confidence.get(facet, {}):
                    raise ValueError(f"the tag '{tag}' of '{facet}' has no confidence")
        return self

    @property
    def certainty(self) -> float:
        """How sure the model is of the tag, or of there being none, that it is least sure of."""
        sure = [1.0]
        for facet, chances in self.confidence.items():
            given = [chances[tag] for tag in self.tags.get(facet, ())]
            sure += given or [1 - max(chances.values(), default=0.0)]
        return min(sure)


class NearDuplicatePair(_Line):
    """One line of ``near_duplicates.jsonl``; ``similarity`` as in :mod:`tagger.paper`."""

    ids: tuple[str, str]
    titles: tuple[str, str]
    similarity: Share


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """What a run of ``tagger tag`` left.

    Parameters
    ----------
    name:
        The folder, as the user named it.
    time:
        When its ``tags.jsonl`` was written, in UTC.
    papers, near_duplicates:
        The content of its files.
    """

    name: str
    time: datetime
    papers: tuple[TaggedPaper, ...]
    near_duplicates: tuple[NearDuplicatePair, ...] = ()

    @property
    def pages(self) -> tuple[str, ...]:
        """Names of the files that the papers stood in."""
        return tuple(dict.fromkeys(page for paper in self.papers for page in paper.sources))

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that gave the tags."""
        return tuple(dict.fromkeys(paper.model for paper in self.papers))


def read_result_folder(folder: Path) -> ResultFolder:
    """Read a result folder.

    Raises
    ------
    TaggerError
        With file, line and field, if it is none or a line of it cannot be read.
    """
    hint = "Name a folder that 'tagger tag' wrote to"
    if not folder.exists():
        raise TaggerError("no such result folder", path=folder, hint=hint)
    if not folder.is_dir():
        raise TaggerError("is a file, not a folder", path=folder, hint=hint)
    tags = folder / TAGS_FILE
    if not tags.exists():
        raise TaggerError(f"holds no {TAGS_FILE}", path=folder, hint=hint)
    papers = tuple(_read_lines(tags, TaggedPaper))
    if not papers:
        raise TaggerError("holds no paper", path=tags, hint=hint)
    time = datetime.fromtimestamp(tags.stat().st_mtime, UTC)
    pairs = folder / NEAR_DUPLICATES_FILE
    found = tuple(_read_lines(pairs, NearDuplicatePair)) if pairs.exists() else ()
    return ResultFolder(str(folder), time, papers, found)


_Content = TypeVar("_Content", bound=_Line)


def _read_lines(path: Path, kind: type[_Content]) -> Iterator[_Content]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TaggerError("is not UTF-8 text", path=path) from error
    except OSError as error:
        raise TaggerError(f"cannot be read ({error.strerror or error})", path=path) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield kind.model_validate_json(line)
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False)[0]
            problem, hint = describe_validation_error(detail["type"], detail["msg"])
            problem = problem.replace("at line 1 column", "at column")
            field = field_name(detail["loc"])
            raise TaggerError(problem, path=path, line=number, field=field, hint=hint) from error
