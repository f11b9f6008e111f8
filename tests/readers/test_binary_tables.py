"""Excel, Parquet and saved data sets, as written by the libraries that are usual for them."""

import io
from datetime import date

import datasets
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.reading import source
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from tagger.errors import TaggerError
from tagger.readers import excel, read_papers
from tagger.readers import parquet as parquet_reader
from tagger.readers.cleaning import clean_text

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# An abstract without a letter would be no abstract.
rows = st.lists(
    st.tuples(texts.filter(clean_text), texts.map("x{}".format)), min_size=1, max_size=5
)


def workbook(*sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, table in sheets:
        sheet = book.create_sheet(name)
        for row in table:
            sheet.append(row)
            for cell in sheet[sheet.max_row]:
                if isinstance(cell.value, str):
                    cell.data_type = "s"
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def parquet(table, **options):
    file = io.BytesIO()
    pq.write_table(pa.table(table), file, **options)
    return file.getvalue()


@settings(max_examples=30)
@given(rows)
def test_any_texts_come_back_from_excel(table):
    # What XML cannot hold, and the line ends that it takes for one another.
    table = [
        tuple(ILLEGAL_CHARACTERS_RE.sub("", text).replace("\r", "") for text in row)
        for row in table
    ]
    table = [row for row in table if not set("\ufffe\uffff") & set("".join(row))]
    table = [row for row in table if clean_text(row[0])] or [("x", "")]
    content = workbook(("a", [("AB", "Title"), *(row[::-1] for row in table)]))
    assert [(paper.title, paper.abstract) for paper in excel.read(source(content, "t.xlsx"))] == [
        (clean_text(title), clean_text(abstract)) for title, abstract in table
    ]


@settings(max_examples=30)
@given(rows)
def test_any_texts_come_back_from_parquet(table):
    titles, abstracts = zip(*table, strict=True)
    content = parquet({"year": [1] * len(table), "Title": titles, "abstract": abstracts})
    papers = list(parquet_reader.read(source(content, "t.parquet")))
    assert [(paper.title, paper.abstract) for paper in papers] == [
        (clean_text(title), clean_text(abstract)) for title, abstract in table
    ]


def test_the_first_sheet_with_a_title_is_read():
    content = workbook(
        ("about", [("Export",), (date(2024, 1, 2),)]),
        ("papers", [("Found",), (), ("Year", "Title", "Abstract"), (2024, "=A", None), (), (1, 7)]),
        ("more", [("Title",), ("not this",)]),
    )
    papers = list(excel.read(source(content, "t.xlsx")))
    assert [(paper.title, paper.abstract) for paper in papers] == [("=A", ""), ("7", "")]


def test_all_splits_of_a_saved_data_set_are_read(tmp_path):
    train = datasets.Dataset.from_dict({"text": ["one", "two"], "title": ["A", "B"], "n": [1, 2]})
    test = datasets.Dataset.from_dict({"title": ["C", "D"]}).filter(
        lambda row: row["title"] == "D", load_from_cache_file=False
    )
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(tmp_path / "all")
    train.save_to_disk(tmp_path / "one")
    both = list(read_papers([tmp_path / "all", tmp_path / "one"]))
    assert [(paper.title, paper.abstract, paper.sources) for paper in both] == [
        ("A", "one", ("all",)),
        ("B", "two", ("all",)),
        ("D", "", ("all",)),
        ("A", "one", ("one",)),
        ("B", "two", ("one",)),
    ]


def test_a_folder_that_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(TaggerError, match="no folder with a saved data set"):
        list(read_papers([tmp_path], format_name="dataset"))
    (tmp_path / "state.json").write_text("{}", encoding="utf-8")
    with pytest.raises(TaggerError, match="is no data set that can be read"):
        list(read_papers([tmp_path]))
    empty = datasets.Dataset.from_dict({"title": []})
    empty.save_to_disk(tmp_path / "empty", num_shards=1)
    with pytest.raises(TaggerError, match="no papers in this file"):
        list(read_papers([tmp_path / "empty"]))
