"""Tables in shards hold what the readers of whole files find in them."""

import csv
import gzip
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers import read_papers
from tagger.scale.dead_letters import DeadLetter
from tagger.scale.shards import shards_of
from tagger.scale.storage import find_files
from tagger.scale.tables import read_shard, scan_table


def scan(place, rows_per_shard=16, **options):
    (file,) = find_files([str(place)])
    return scan_table(file, rows_per_shard=rows_per_shard, **options)


def read(table):
    return [row for shard in shards_of((table,)) for row in read_shard(shard)]


def papers(table):
    return [paper for _, paper in read(table)]


def write_csv(path, rows, delimiter=",", encoding="utf-8", **options):
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, ["title", "abstract", "doi"], delimiter=delimiter, **options)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path, rows, **options):
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


@pytest.mark.parametrize("group", [7, 16, 50, 1000])
def test_parquet_is_read_as_by_the_reader_of_whole_files(tmp_path, rows, group):
    path = write_parquet(tmp_path / "papers.parquet", rows, row_group_size=group)
    table = scan(path)
    assert [cut.rows for cut in table.cuts] == [16] * 12 + [8]
    assert papers(table) == list(read_papers(path))
    assert [line for line, _ in read(table)] == list(range(1, 201))


def test_json_lines_are_read_as_by_the_reader_of_whole_files(rows, write_json):
    rows[3]["pmid"] = 77
    path = write_json(rows)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\n\n  \n", 20))
    table = scan(path)
    assert table.rows == 200
    assert papers(table) == list(read_papers(path))
    assert [line for line, _ in read(table)][:3] == [1, 4, 7]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_delimited_text_is_read_as_by_the_reader_of_whole_files(
    tmp_path, rows, delimiter, encoding
):
    path = write_csv(tmp_path / "papers.csv", rows, delimiter, encoding)
    table = scan(path)
    assert table.delimiter == delimiter
    assert papers(table) == list(read_papers(path))


@pytest.mark.parametrize(
    "text",
    [
        'title\tabstract\nA "word\tFirst\nTwo\tSecond "here\nThree\tThird\n',
        'title\tabstract\n"A\nword"\tFirst\nTwo\tSecond\n',
        'title\tabstract\nOne\t"open\nTwo\tSecond\n',
        "About this export\n\ntitle,abstract\nOne,First\n,\nTwo,Second\n",
    ],
)
def test_quotes_and_lines_above_the_header_are_told_as_by_the_reader(tmp_path, text):
    path = tmp_path / "papers.csv"
    path.write_text(text, encoding="utf-8")
    assert papers(scan(path, 1)) == list(read_papers(path))


@given(
    st.lists(
        st.tuples(
            st.text(st.sampled_from('ab ,"\n\r;é\u2028'), min_size=1).map(lambda text: "x" + text),
            st.text(st.sampled_from('ab ,"\n;é')),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 5),
)
def test_any_cells_are_read_as_by_the_reader_of_whole_files(tmp_path_factory, cells, size):
    folder = tmp_path_factory.mktemp("any")
    rows = [{"title": title, "abstract": text, "doi": ""} for title, text in cells]
    written = write_csv(folder / "papers.csv", rows, quoting=csv.QUOTE_ALL)
    assert papers(scan(written, size)) == list(read_papers(written))
    lines = folder / "papers.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert papers(scan(lines, size)) == list(read_papers(lines))


def test_a_bad_row_is_a_dead_letter_and_the_others_are_papers(tmp_path, rows, write_json):
    broken = '{"title": \n[1]\n{"abstract": "no title"}\n{"title": ["x", {}]}\n'
    path = write_json(rows[:20], after=broken)
    with path.open("ab") as file:
        file.write(b'{"title": "\xff"}\n')
    found = read(scan(path))
    assert all(isinstance(paper, Paper) for _, paper in found[:20])
    letters = [letter for _, letter in found[20:]]
    assert [letter.line for letter in letters] == [21, 22, 23, 24, 25]
    assert all(isinstance(letter, DeadLetter) for letter in letters)
    reasons = [letter.reason for letter in letters]
    assert reasons[0].startswith("is no JSON")
    assert reasons[1:3] == ["the line is no object", "there is no title here"]
    assert reasons[3] == "field 'title': holds a list, not text"
    assert reasons[4] == "is not UTF-8 text (byte 0xff)"
    assert letters[2].given == {"abstract": "no title"}


def test_a_row_of_another_length_is_a_dead_letter(tmp_path):
    path = tmp_path / "papers.csv"
    path.write_text('title,abstract\n"One,\nfirst",A\nTwo\nThree,C\n', encoding="utf-8")
    one, two, three = read(scan(path, 1))
    assert (one[0], two[0], three[0]) == (2, 4, 5)
    assert one[1].title == "One, first"
    assert two[1] == DeadLetter(str(path), 4, "the row has 1 cell, the header has 2", "Two")
    assert three[1].abstract == "C"


def test_compressed_files_and_object_storage_are_read(tmp_path, rows, write_json):
    plain = write_json(rows)
    packed = tmp_path / "packed" / "papers.jsonl.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    archive = tmp_path / "store.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(plain, "in/papers.jsonl")
    expected = [(paper.title, paper.abstract) for paper in read_papers(plain)]
    for place in (packed, f"file://{plain}", f"zip://in/papers.jsonl::{archive}"):
        assert [(paper.title, paper.abstract) for paper in papers(scan(place))] == expected
    assert papers(scan(f"zip://in/papers.jsonl::{archive}"))[0].sources == ("papers.jsonl",)


def test_folders_and_patterns_name_their_files_in_order(tmp_path):
    for name in ("b.csv", "a.csv", "year=2020/c.parquet", "_SUCCESS", ".hidden/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("title\nA\n", encoding="utf-8")

    def found(*places):
        return [file.place for file in find_files(places)]

    names = [f"{tmp_path}/{name}" for name in ("a.csv", "b.csv", "year=2020/c.parquet")]
    assert found(str(tmp_path)) == names
    assert found(f"file://{tmp_path}/") == [f"file://{name}" for name in names]
    assert found(f"{tmp_path}/*.csv") == names[:2]
    assert found(names[1], str(tmp_path)) == [names[1], names[0], names[2]]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.csv", "title\n", "no papers in this file"),
        ("a.csv", "", "the file is empty"),
        ("a.csv", "name,year\nA,1\n", "no column holds the title"),
        ("a.csv", 'title,abstract\nA,"open\n', "a cell in quotes does not end"),
        ("a.txt", "Just a page of text, no table.\n", "is no table that can be cut"),
        ("a.json", '[\n{"title": "A"}\n]\n', "does not begin with an object on one line"),
        ("a.json", '{"name": "A"}\n', "no column holds the title"),
        ("a.parquet", "PAR1 and then nothing", "is no Parquet file that can be read"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path, name, content, problem):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(TaggerError, match=problem) as caught:
        scan(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("place", ["missing.csv", "nosuch://a/b.csv"])
def test_what_is_not_there_is_refused(place):
    with pytest.raises(TaggerError, match=r"no such file|cannot be reached"):
        find_files([place])


def test_text_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"title,abstract\nCaf\xe9,B\n")
    with pytest.raises(TaggerError, match="is not UTF-8 text"):
        scan(path)
