"""Read what ``tagger tag`` wrote: the papers of a result folder and its near duplicates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tagger.decision import Review
from tagger.errors import TaggerError
from tagger.json_lines import read_lines
from tagger.paper import IDENTIFIER_KINDS, Paper
from tagger.tagging import NEAR_DUPLICATES_FILE
from tagger.taxonomy_history import TaxonomyHistory
from tagger.taxonomy_translation import FacetTranslation, translate_facet
from tagger.writers import TAGS_FILE

Share = Annotated[float, Field(ge=0, le=1)]


class _Line(BaseModel):
    # Fields that later versions add are no reason to refuse a line.
    model_config = ConfigDict(extra="ignore", frozen=True)


class TaggedPaper(_Line):
    """One line of ``tags.jsonl``."""

    id: Annotated[str, Field(min_length=1)]
    title: str
    identifiers: tuple[str, ...] = ()
    sources: tuple[str, ...]
    tags: dict[str, tuple[str, ...]]
    confidence: dict[str, dict[str, Share]]
    review: Review | None
    model: str
    taxonomy: str

    @property
    def paper(self) -> Paper:
        """What tells the paper from others; its abstract is not known here."""
        return Paper(self.title, "", self.sources, self.id, self.identifiers)

    @model_validator(mode="after")
    def _be_a_paper(self) -> TaggedPaper:
        for name in self.identifiers:
            if name.partition(":")[0] not in IDENTIFIER_KINDS:
                raise ValueError(f"'{name}' is no identifier")
        return self

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
    """One line of ``near_duplicates.jsonl``; ``similarity`` as in :mod:`tagger.near_duplicates`."""

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
    papers = tuple(line for _, line in read_lines(tags, TaggedPaper))
    if not papers:
        raise TaggerError("holds no paper", path=tags, hint=hint)
    time = datetime.fromtimestamp(tags.stat().st_mtime, UTC)
    pairs = folder / NEAR_DUPLICATES_FILE
    found: tuple[NearDuplicatePair, ...] = ()
    if pairs.exists():
        found = tuple(line for _, line in read_lines(pairs, NearDuplicatePair))
    return ResultFolder(str(folder), time, papers, found)


def in_todays_terms(folder: ResultFolder, history: TaxonomyHistory) -> ResultFolder:
    """Put tags and confidences of a run in terms of today's taxonomy.

    A facet of which nothing tells what became of its tags stays as it is, and so does what the run
    said on why a paper needs review.
    """
    known: dict[tuple[int, str, tuple[str, ...]], FacetTranslation | None] = {}

    def translate(paper: TaggedPaper) -> TaggedPaper:
        start = history.position(paper.taxonomy, folder.time)
        if start == history.today:
            return paper
        tags, confidence = dict(paper.tags), dict(paper.confidence)
        for facet, chances in paper.confidence.items():
            names = tuple(chances)
            key = (start, facet, names)
            if key not in known:
                known[key] = translate_facet(history, start, facet, names)
            translation = known[key]
            if translation is None:
                continue
            now = translation.facet.tag_names
            [row] = translation.probabilities(np.array([[*chances.values()]])).round(6).tolist()
            confidence[facet] = dict(zip(now, row, strict=True))
            given = {
                tag
                for name, becomes in zip(names, translation.becomes, strict=True)
                if name in paper.tags.get(facet, ())
                for tag in becomes
            }
            tags[facet] = tuple(tag for tag in now if tag in given)
        return paper.model_copy(update={"tags": tags, "confidence": confidence})

    return replace(folder, papers=tuple(translate(paper) for paper in folder.papers))
