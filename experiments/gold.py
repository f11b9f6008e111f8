"""The papers and labels that experiments measure on, read from ../shared, and intervals."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagger.labels import Label
from tagger.papers import Paper, merge_duplicates, paper_id, read_papers
from tagger.taxonomy import Taxonomy

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
RESULTS = Path(__file__).parent / "results"
INSTRUCTIONS = {"avx512_vnni": "AVX-512 with VNNI", "avx512f": "AVX-512", "avx2": "AVX2"}
"""What Linux calls the instructions on which the speed of an encoder hangs, best first."""


@dataclass(frozen=True, slots=True)
class Gold:
    """Labelled papers: ``y_true`` has shape (papers, tags) for each facet."""

    papers: list[Paper]
    y_true: dict[str, npt.NDArray[np.bool_]]


def read_gold(taxonomy: Taxonomy, name: str = "dev") -> Gold:
    """Read the labelled papers of a set, ``dev`` or ``dev2``, with their abstracts."""
    pages = sorted((SHARED / "digests").glob("*.txt"))
    papers = {paper.id: paper for paper in merge_duplicates(read_papers(pages))}
    lines = (SHARED / "gold" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    labelled = [json.loads(line) for line in lines]
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


def with_examples_of(taxonomy: Taxonomy, *facets: str) -> Taxonomy:
    """Return a taxonomy whose tags have examples in these facets alone."""
    content = taxonomy.model_dump()
    for facet in content["facets"]:
        for tag in facet["tags"] if facet["name"] not in facets else ():
            tag.pop("examples", None)
    return Taxonomy.model_validate(content)


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


def machine() -> str:
    """Describe the machine in a few words, for the foot of a table."""
    information = Path("/proc/cpuinfo")
    flags = information.read_text(encoding="utf-8").split() if information.exists() else []
    found = next((f" ({name})" for flag, name in INSTRUCTIONS.items() if flag in flags), "")
    return (
        f"{os.cpu_count()} cores, {platform.machine()}{found}, Python {platform.python_version()}"
    )
