"""The labelled papers that experiments measure on, read from ../shared, and quick trainings."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from record import ROOT, SCRATCH, SHARED

from tagger.labels import Label
from tagger.papers import Paper, merge_duplicates, paper_id, read_papers
from tagger.taxonomy import Taxonomy
from tagger.training import TrainingSettings, bundled_encoder_folder

sys.path.append(str(ROOT / "tests"))
from helpers.tiny_encoder import save_tiny_encoder


@dataclass(frozen=True, slots=True)
class Gold:
    """Labelled papers: ``y_true`` has shape (papers, tags) for each facet."""

    papers: list[Paper]
    y_true: dict[str, npt.NDArray[np.bool_]]


def read_gold(taxonomy: Taxonomy, name: str = "dev") -> Gold:
    """Read the labelled papers of a set with their abstracts: ``dev``, ``dev2`` or ``pool``.

    Of the pool these are the papers that were sampled at random.
    """
    papers = {paper.id: paper for paper in digest_papers()}
    lines = (SHARED / "gold" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    labelled = [row for row in map(json.loads, lines) if row.get("draw") != "enriched"]
    y_true = {}
    for facet in taxonomy.facets:
        answers = [np.atleast_1d(label[facet.name]) for label in labelled]
        y_true[facet.name] = np.array(
            [[tag in given for tag in facet.tag_names] for given in answers], dtype=bool
        )
    found = [
        Paper(label["title"], label["abstract"])
        if "abstract" in label
        else papers[paper_id(label["title"])]
        for label in labelled
    ]
    return Gold(found, y_true)


def digest_papers() -> list[Paper]:
    """Return the distinct papers of the real digests."""
    return merge_duplicates(read_papers(sorted((SHARED / "digests").glob("*.txt"))))


def label_of(gold: Gold, row: int, taxonomy: Taxonomy) -> Label:
    """Return a labelled paper as a label that a reviewer might have given."""
    paper = gold.papers[row]
    tags = {
        facet.name: tuple(np.array(facet.tag_names)[gold.y_true[facet.name][row]])
        for facet in taxonomy.facets
    }
    return Label(
        id=paper.id,
        title=paper.title,
        text=paper.abstract,
        tags=tags,
        annotator="gold",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        source="review",
    )


def bootstrap_interval(
    figure: Callable[[npt.NDArray[np.int_]], float], papers: int, rounds: int = 1000
) -> tuple[float, float]:
    """Return the 95% percentile interval of a figure over papers drawn with replacement.

    Efron, "Bootstrap Methods: Another Look at the Jackknife" (1979).
    """
    rng = np.random.default_rng(0)
    values = [figure(rng.integers(0, papers, papers)) for _ in range(rounds)]
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def settings_of(quick: bool, **changes: Any) -> TrainingSettings:
    """Return settings of a training; with ``--quick`` of one that takes seconds."""
    if quick:
        changes |= {"encoder": str(encoder_folder(quick)), "folds": 2, "max_tokens": 32}
        changes["title_views"] = False
        changes["epochs"] = min(changes.get("epochs", 1), 1)
    return TrainingSettings(**changes)


def encoder_folder(quick: bool) -> Path:
    """Return the folder of the bundled encoder; with ``--quick`` of one of a few kilobytes."""
    if not quick:
        return bundled_encoder_folder()
    folder = SCRATCH / "tiny"
    return folder / "encoder" if (folder / "encoder").exists() else save_tiny_encoder(folder)


def some(labels: list[Label], quick: bool) -> list[Label]:
    """Return all labels, or with ``--quick`` one in six."""
    return labels[::6] if quick else labels
