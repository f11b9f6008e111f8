"""Excel, Parquet and saved data sets, as written by their usual libraries."""

import re
from datetime import date

import datasets
import pytest
from helpers.reading import parquet, source, texts, workbook
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from tagger.errors import TaggerError
from tagger.papers import read_papers
from tagger.papers.readers import excel
from tagger.papers.readers import parquet as parquet_reader
from tagger.papers.readers.cleaning import clean_text

cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# An abstract without a letter would be no abstract.
row = st.tuples(cells.filter(clean_text), cells.map("x{}".format))
rows = st.lists(row, min_size=1, max_size=5)
NOT_IN_XML = rf"{ILLEGAL_CHARACTERS_RE.pattern}|[\r\ufffe\uffff]"


@settings(max_examples=30)
@given(rows)
def test_any_texts_come_back(table):
    titles, abstracts = zip(*table, strict=True)
    content = parquet({"year": [1] * len(table), "Title": titles, "abstract": abstracts})
    papers = parquet_reader.read(source(content, "t.parquet"))
    assert texts(papers) == [tuple(map(clean_text, row)) for row in table]
    # What XML cannot hold, and the line ends that it takes for one another.
    table = [tuple(re.sub(NOT_IN_XML, "", text) for text in row) for row in table]
    table = [row for row in table if clean_text(row[0])] or [("x", "")]
    content = workbook(("AB", "Title"), *(row[::-1] for row in table))
    papers = excel.read(source(content, "t.xlsx"))
    assert texts(papers) == [tuple(map(clean_text, row)) for row in table]


def test_the_first_sheet_with_a_title_is_read():
    about = [("Export",), (date(2024, 1, 2),)]
    read = [("Found",), (), ("Year", "Title", "Abstract"), (2024, "=A", None), (), (1, 7)]
    content = workbook(("Title",), ("not this",), before=[about, read])
    assert texts(excel.read(source(content, "t.xlsx"))) == [("=A", ""), ("7", "")]


def test_all_splits_of_a_saved_data_set_are_read(tmp_path):
    train = datasets.Dataset.from_dict({"text": ["one", "two"], "title": ["A", "B"], "n": [1, 2]})
    test = datasets.Dataset.from_dict({"title": ["C", "D"]}).select([1])
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(tmp_path / "all")
    train.save_to_disk(tmp_path / "one")
    both = list(read_papers([tmp_path / "all", tmp_path / "one"]))
    assert texts(both) == [("A", "one"), ("B", "two"), ("D", ""), ("A", "one"), ("B", "two")]
    assert [paper.sources for paper in both] == [("all",)] * 3 + [("one",)] * 2


def test_a_folder_that_is_no_data_set_is_refused(tmp_path):
    (tmp_path / "papers.csv").write_text("title\nKites\n", encoding="utf-8")
    with pytest.raises(TaggerError, match="not a saved data set"):
        list(read_papers([tmp_path], format_name="dataset"))
    (tmp_path / "state.json").write_text("{}", encoding="utf-8")
    with pytest.raises(TaggerError, match="cannot be read as a data set"):
        list(read_papers([tmp_path]))
    datasets.Dataset.from_dict({"title": []}).save_to_disk(tmp_path / "empty", num_shards=1)
    with pytest.raises(TaggerError, match="no papers"):
        list(read_papers([tmp_path / "empty"]))
