"""Result folders and labels for the report: eight papers in three runs."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pytest
from helpers.tiny_report import EVIL, held_out, review, tag_row

from tagger.papers import paper_id
from tagger.registry import VersionSummary
from tagger.report.figures import ModelFigures, facet_figures
from tagger.report.page import Report
from tagger.report.papers import gather_near_duplicates, gather_papers
from tagger.report.results import ResultFolder, read_result_folder

WriteResults = Callable[..., ResultFolder]


@pytest.fixture
def write_results(tmp_path):
    """Write a result folder, of the given day of March, and read it."""

    def write(name, day, *rows, pairs=()):
        folder = tmp_path / name
        folder.mkdir()
        for file, lines in (("tags.jsonl", rows), ("near_duplicates.jsonl", pairs)):
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (folder / file).write_text(text, encoding="utf-8")
        time = datetime(2026, 3, day, tzinfo=UTC).timestamp()
        os.utime(folder / "tags.jsonl", (time, time))
        return read_result_folder(folder)

    return write


@pytest.fixture
def runs(write_results):
    """Three runs, of which the latest is named first."""
    third = write_results("third", 3, tag_row("Ash", "study", 0.95, pages=["friday.txt"]))
    first = write_results(
        "first",
        1,
        tag_row("Ash", sure=0.5),
        tag_row("Birch", sure=0.55, pages=["monday.txt", "tuesday.txt"]),
        tag_row("Cedar", sure=0.52),
        tag_row("Dogwood", fields=["health", "heart"]),
    )
    pair = {"ids": [paper_id("Elm"), paper_id("Fir")], "titles": ["Elm", "Fir"], "similarity": 0.4}
    new = partial(tag_row, pages=["tuesday.txt"], model="tagger/2")
    second = write_results(
        "second",
        2,
        new("Birch", sure=0.58),
        new("Elm", sure=0.51),
        new("Fir", "survey", fields=["law"]),
        new("Ginkgo", sure=0.57),
        new("Hazel", sure=0.59),
        pairs=[pair],
    )
    return [third, first, second]


@pytest.fixture
def figures(taxonomy):
    """Figures of a model on four papers, whose note is markup."""
    version = VersionSummary("tagger/1", created="2026-03-01", labels=12, why=EVIL)
    y_true = np.eye(3, dtype=bool)[[0, 1, 2, 0]]
    facets = (
        facet_figures(held_out(facet, y_true, y_true * 0.7 + 0.1), "seed")
        for facet in taxonomy.facets
    )
    return ModelFigures(version, tuple(facets), (version, replace(version, name="tagger/2")))


@pytest.fixture
def answers():
    """Answers of two people to six of the papers."""
    return [
        review("Ash", "study"),
        review("Birch", "method", annotator="ben", time="2026-03-04T10:00:00Z"),
        review("Cedar", None),
        review("Elm", None, outcome="cannot-tell"),
        review("Fir", "survey", prediction=None),
        review("Ginkgo", "survey"),
        review("Ginkgo", "study", annotator="ben", time="2026-03-04T11:00:00Z"),
        review("Unheard of", "study"),
    ]


@pytest.fixture
def make_report(taxonomy):
    """Gather a report."""

    def make(folders, labels=(), **more):
        gathered = Report(
            created=datetime(2026, 3, 5, 12, tzinfo=UTC),
            folders=tuple(folders),
            papers=tuple(gather_papers(folders, labels, "adjudicate")),
            near_duplicates=tuple(gather_near_duplicates(folders)),
            taxonomy=taxonomy,
            figures=None,
            task_addresses={},
            left_out=(),
        )
        return replace(gathered, **more)

    return make
