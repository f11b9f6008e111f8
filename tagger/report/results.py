"""Read the result folders of ``tagger tag``: tagged papers and near duplicates."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np

from tagger._util.jsonl import read_lines
from tagger.errors import TaggerError
from tagger.papers import MANIFEST_FILE, NEAR_DUPLICATES_FILE, NearDuplicate, Paper, TaggedPaper
from tagger.tagging import TAGS_FILE, read_abstracts
from tagger.taxonomy import FacetTranslation, Taxonomy, translate_facet


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """Results of a run of ``tagger tag``; ``time`` is when they were written, in UTC.

    ``abstracts`` maps the ids of papers to their abstracts, as far as these are kept. ``repeats``
    counts the entries that were merged into another one of the same file.
    """

    name: str
    time: datetime
    papers: tuple[TaggedPaper, ...]
    near_duplicates: tuple[NearDuplicate, ...] = ()
    abstracts: Mapping[str, str] = field(default_factory=dict)
    repeats: int = 0

    @property
    def pages(self) -> tuple[str, ...]:
        """Names of the source files of the papers."""
        return tuple(dict.fromkeys(page for paper in self.papers for page in paper.sources))

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that tagged the papers."""
        return tuple(dict.fromkeys(paper.model for paper in self.papers))

    @property
    def papers_with_abstract(self) -> Iterator[Paper]:
        """The papers whose abstracts are kept."""
        for paper in self.papers:
            if abstract := self.abstracts.get(paper.id):
                yield replace(paper.paper, abstract=abstract)


def read_result_folder(folder: Path) -> ResultFolder:
    """Read a result folder; a TaggerError names file, line and field of a problem."""
    hint = "Name a folder that 'tagger tag' wrote to"
    if not folder.exists():
        raise TaggerError("no such result folder", path=folder, hint=hint)
    if not folder.is_dir():
        raise TaggerError("is a file, not a folder", path=folder, hint=hint)
    tags = folder / TAGS_FILE
    if not tags.exists():
        raise TaggerError(f"contains no {TAGS_FILE}", path=folder, hint=hint)
    papers = tuple(line for _, line in read_lines(tags, TaggedPaper))
    if not papers:
        raise TaggerError("contains no papers", path=tags, hint=hint)
    # Results of earlier versions do not hold the time of their run.
    written = datetime.fromtimestamp(tags.stat().st_mtime, UTC)
    time = max((paper.time for paper in papers if paper.time), default=written)
    near = folder / NEAR_DUPLICATES_FILE
    pairs = tuple(pair for _, pair in read_lines(near, NearDuplicate)) if near.exists() else ()
    abstracts, repeats = read_abstracts(folder), _count_repeats(folder, papers)
    return ResultFolder(str(folder), time, papers, pairs, abstracts, repeats)


def _count_repeats(folder: Path, papers: Sequence[TaggedPaper]) -> int:
    """Count entries merged into one of the same file, which a paper's sources name once."""
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        counted, merged = int(manifest["papers"]), int(manifest["merged"])
    except (OSError, ValueError, TypeError, LookupError):
        return 0
    named = sum(max(len(paper.sources), 1) for paper in papers)
    # Something else may have written the papers after the run.
    return max(counted + merged - named, 0) if counted == len(papers) else 0


def translate_results(folder: ResultFolder, taxonomy: Taxonomy) -> ResultFolder:
    """Translate tags and confidences of a run into a later taxonomy, where that is possible."""

    @cache
    def translation_of(facet: str, tags: tuple[str, ...]) -> FacetTranslation | None:
        return translate_facet(taxonomy, facet, tags)

    def translate(paper: TaggedPaper) -> TaggedPaper:
        if paper.taxonomy == taxonomy.version:
            return paper
        tags, confidence = dict(paper.tags), dict(paper.confidence)
        for facet, earlier in paper.confidence.items():
            if translation := translation_of(facet, tuple(earlier)):
                [row] = translation.probabilities(np.array([[*earlier.values()]])).round(6).tolist()
                confidence[facet] = dict(zip(translation.facet.tag_names, row, strict=True))
                current = taxonomy.read({facet: paper.tags.get(facet, ())}).get(facet, ())
                tags[facet] = tuple(tag for tag in confidence[facet] if tag in current)
        return replace(paper, tags=tags, confidence=confidence)

    return replace(folder, papers=tuple(translate(paper) for paper in folder.papers))
