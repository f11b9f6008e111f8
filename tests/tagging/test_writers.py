"""What is written can be read by the libraries that people use, and by tagger again."""

import csv
from dataclasses import replace
from datetime import datetime
from unittest.mock import Mock

import datasets
import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers.samples import json_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger._util.text_safety import is_formula
from tagger.errors import TaggerError
from tagger.model import ReviewRule
from tagger.papers import COLUMNS, Paper, paper_id, read_papers
from tagger.tagging import facet_columns, tag_papers
from tagger.tagging.writers import WRITERS, choose_writers

EVERY = [writer.name for writer in WRITERS]
OF_SHEETS = ["id", "title", "identifiers", "sources", "kind", "kind_confidence"]
OF_SHEETS += ["field", "field_confidence", "review", "model", "taxonomy", "time"]


@pytest.fixture
def written(tmp_path, model, papers, monkeypatch):
    """A run that has written all formats, and its folder; two papers have identifiers."""
    monkeypatch.setattr(
        "tagger.tagging.run.datetime", Mock(now=lambda zone: datetime(2026, 3, 2, 12, tzinfo=zone))
    )
    names = ("doi:10.1002/(sici)1(1998)1:2<3::aid-x9>3.0.co;2-2", "arxiv:math/0309136", "pmid:7")
    papers[3] = replace(papers[3], id="", identifiers=names)
    papers[4] = replace(papers[4], id="", identifiers=("pmid:8",))
    return tag_papers(papers[:20], model, tmp_path, ReviewRule(), formats=EVERY), tmp_path


def test_every_format_holds_every_paper_and_field(written):
    run, folder = written
    assert {path.name for path in run.files} == {path.name for path in folder.glob("[!.]*")}
    rows = [paper.as_row() for paper in run.tagged()]
    assert all([*row] == [*COLUMNS] for row in rows)
    assert json_lines(folder / "tags.jsonl") == rows
    for table in (
        pq.read_table(folder / "tags.parquet"),
        datasets.load_from_disk(folder / "tags_dataset").data.table,
    ):
        assert table.column_names == [*COLUMNS]
        assert table.to_pylist() == rows
    sheet = pd.read_excel(folder / "tags.xlsx", keep_default_na=False)
    assert list(sheet.columns) == OF_SHEETS
    with (folder / "tags.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    for row, tagged in zip(sheet.to_dict("records"), cells, strict=True):
        assert row.pop("kind_confidence") == float(tagged.pop("kind_confidence"))
        assert row == tagged


@pytest.mark.parametrize("writer", WRITERS[:-1], ids=lambda writer: writer.name)
def test_tagger_reads_what_it_has_written(written, writer):
    run, folder = written
    again, given = (
        [(paper.id, paper.title, list(paper.identifiers)) for paper in papers]
        for papers in (read_papers([folder / writer.target]), run.tagged())
    )
    assert again == given
    assert again[3][0].startswith("doi:")


def test_the_data_set_has_a_card(written):
    run, folder = written
    card = (folder / "tags_dataset" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\npretty_name: Papers tagged by small\n")
    assert "20 papers, tagged by tagger/1" in card
    assert f"{run.to_review} of them are marked" in card
    for facet, counts in run.counts.items():
        assert f"## {facet}" in card
        assert all(f"| {tag} |" in card and f" | {counts[tag]} |" in card for tag in counts)
    assert all(f"| {field} |" in card for field in COLUMNS)


def test_the_same_papers_give_the_same_bytes(written, model, papers, tmp_path_factory):
    _, folder = written
    other = tmp_path_factory.mktemp("other")
    for _ in range(2):
        tag_papers(papers[:20], model, other, ReviewRule(), formats=["dataset", "parquet"])
    files = [path for path in other.rglob("[!.]*") if path.is_file()]
    assert len(files) == 10
    for file in files:
        assert file.read_bytes() == (folder / file.relative_to(other)).read_bytes(), file


@pytest.mark.parametrize(
    ("target", "form"), [("tags_dataset", "dataset"), ("tags.xlsx", "excel"), ("tags.csv", "csv")]
)
def test_what_is_in_the_way_is_told_first(tmp_path, model, papers, target, form):
    (tmp_path / target).mkdir()
    (tmp_path / target / "mine.txt").touch()
    with pytest.raises(TaggerError, match="choose another --output"):
        tag_papers(papers[:2], model, tmp_path, ReviewRule(), formats=[form])
    assert model.encoder.calls == 0
    assert [*tmp_path.rglob("*")] == [tmp_path / target, tmp_path / target / "mine.txt"]


def test_an_unknown_format_is_refused_before_anything_is_tagged(tmp_path, model, papers):
    with pytest.raises(TaggerError, match=r"unknown output format 'word'.*one of: jsonl"):
        tag_papers(papers, model, tmp_path / "out", ReviewRule(), formats=["word"])
    assert not (tmp_path / "out").exists()
    assert [writer.name for writer in choose_writers(["excel", "csv"])] == ["jsonl", "csv", "excel"]


@pytest.mark.parametrize("text", [*"=+-@\t\r\n\uff1d\uff0b\uff0d\uff20", " =", "\u00a0\n@A"])
def test_what_owasp_lists_is_a_formula(text):
    assert is_formula(text)
    assert not is_formula("x" + text)
    assert not is_formula("'" + text)


titles = st.text(st.sampled_from("=+-@＝＠'\" ;,|ab"), max_size=8).filter({*"ab"}.intersection)


@settings(max_examples=25)
@given(st.lists(titles, min_size=1, max_size=3, unique_by=paper_id))
def test_no_cell_is_a_formula_and_the_papers_stay_the_same(tmp_path_factory, model_once, names):
    folder = tmp_path_factory.mktemp("out")
    papers = [Paper(" ".join(name.split()), "", ("=a.txt",)) for name in names]
    tag_papers(papers, model_once, folder, ReviewRule(), formats=["excel"])
    for file in ("tags.csv", "tags.xlsx"):
        again = list(read_papers([folder / file]))
        assert [paper.id for paper in again] == [paper.id for paper in papers]
    with (folder / "tags.csv").open(encoding="utf-8", newline="") as file:
        assert not any(is_formula(cell) for row in csv.reader(file) for cell in row)
    sheet = openpyxl.load_workbook(folder / "tags.xlsx").active
    for cell in (cell for row in sheet.iter_rows() for cell in row):
        assert cell.data_type != "f"
        assert cell.data_type == "n" or bool(cell.quotePrefix) == is_formula(str(cell.value))


def test_a_facet_with_the_name_of_another_column_has_columns_of_its_own():
    names = ("title", "topic", "topic_confidence", "kind")
    columns = facet_columns(names)
    assert columns["kind"] == ("kind", "kind_confidence")
    assert columns["title"] == ("facet:title", "confidence:title")
    every = [*COLUMNS, *(column for pair in columns.values() for column in pair)]
    assert len(set(every)) == len(every)
