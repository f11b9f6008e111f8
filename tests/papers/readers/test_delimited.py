import csv
import io

import pytest
from helpers.reading import source, texts
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.papers import Paper, read_papers
from tagger.papers.readers import delimited
from tagger.papers.readers.delimited import DELIMITERS, read_records

cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
rows = st.lists(st.tuples(cells, cells, cells).filter(lambda row: row[0].strip()), min_size=1)


@given(rows, st.sampled_from(DELIMITERS), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_any_cells_are_read_without_loss(table, delimiter, encoding):
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows([("Title", "abstract", "note"), *table])
    _, *read = read_records(source(file.getvalue().encode(encoding)))
    assert [tuple(row.cells) for row in read] == table


@pytest.mark.parametrize(
    ("content", "titles"),
    [
        ("Title,Abstract\nA,one\n", ["A"]),
        ("title;doi;abstract\r\nA, b;10.1/x;one\r\n", ["A, b"]),
        ('Authors\tArticle Title\nX\t"Why" not\nY\tB\n', ['"Why" not', "B"]),
        ('id,title,abstract\n1,"A\n\nline",one\n2,B,"two, ""three"""\n', ["A line", "B"]),
        ("Search of 3 May\n\nTitle,AB\nA,one\n\nB,two\n", ["A", "B"]),
        ("\ttitle\tabstract\n0\tA\tone\n1\tB\ttwo\n", ["A", "B"]),
        ('AB,Title\none,A\n\ufeff"AB","Title"\ntwo,B\n', ["A", "B"]),
        ("Title,Year\nA,2020\nTitle,2021\nTitle,Year\nB,2022\n", ["A", "Title", "B"]),
        ("Source title,Title,Year\nJ,A,2020\n", ["A"]),
        ("title,abstract,,\nA,one,,\nB,two,,,,\n", ["A", "B"]),
        ("PT\tTI\tAB\nJ\tA\tone\t\nJ\tB\ttwo\t\n", ["A", "B"]),
        ("PT\tTI\tAB\t\nJ\tA\tone\nJ\tB\t\t\n", ["A", "B"]),
        (
            'PT\tTI\tAB\nJ\t"Open quote\tone\nJ\tmid\ttwo\nJ\tclosing"\tfour\n',
            ['"Open quote', "mid", 'closing"'],
        ),
        ('TI\tAB\nA "x\t"one\ttwo"\n"B ""y"""\tthree\n', ['A "x', 'B "y"']),
        ('TI\tAB\n"A\tone\nB"\ttwo\n', ['"A', 'B"']),
    ],
)
def test_dialect_and_header_are_recognised(content, titles):
    assert delimited.recognise(source(content))
    assert [paper.title for paper in delimited.read(source(content))] == titles


def test_a_table_in_markdown_is_read_without_its_rule_and_with_its_links():
    content = (
        "# Weekly\n\n| # | Title | Abstract |\n|:-:|---|---|\n"
        "| 1 | [Tides](https://arxiv.org/abs/2101.00001) | one |\n| 2 | Ebbs [sic] | two |\n"
    )
    tides, ebbs = delimited.read(source(content))
    assert texts([tides, ebbs]) == [("Tides", "one"), ("Ebbs [sic]", "two")]
    assert (tides.identifiers, ebbs.identifiers) == (("arxiv:2101.00001",), ())


def test_a_quote_that_is_never_closed_costs_one_record():
    titles = [f"T{number}" for number in range(1_000)]
    rows = [f'{title},"one\ntwo"\n' for title in titles]
    content = "".join(["title,abstract\n", *rows[:2], '"Open,three\n', *rows[2:]])
    read = list(delimited.read(source(content)))
    assert [each.line for each in read if isinstance(each, TaggerError)] == [6]
    papers = [each for each in read if isinstance(each, Paper)]
    assert texts(papers) == [(title, "one two") for title in titles]


def test_chosen_columns_precede_default_ones():
    content = "Titel,Title,Text\nA,B,one\n"
    (paper,) = delimited.read(source(content, title="Titel", abstract="text"))
    assert (paper.title, paper.abstract) == ("A", "one")
    assert delimited.recognise(source("Titel;Jahr\nA;2020\n", title="Titel"))
    assert not delimited.recognise(source("Titel;Jahr\nA;2020\n"))
    with pytest.raises(TaggerError, match=r"no column 'Kurz'.*columns are: 'Titel', 'Title'"):
        list(delimited.read(source(content, abstract="Kurz")))


def test_a_table_whose_titles_have_another_name_is_not_read_as_a_page(tmp_path):
    table = tmp_path / "export.csv"
    rows = [f"{title},We study {'many ' * 30}harbours." for title in ("Tides", "Ebbs")]
    table.write_text("\n".join(["Name,Abstract", *rows]), encoding="utf-8")
    with pytest.raises(TaggerError, match="'Name', 'Abstract'") as caught:
        list(read_papers(table))
    assert "--column title=NAME" in caught.value.hint


def test_a_cell_may_be_longer_than_the_limit_of_the_csv_module():
    before = csv.field_size_limit()
    (paper,) = delimited.read(source(f"title,abstract\nA,{'word ' * 40_000}\n"))
    assert len(paper.abstract) == 5 * 40_000 - 1
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("header", "cell", "identifiers"),
    [
        ("TI\tPM", "77", ("pmid:77",)),
        ("Article Title\tUT\tPM", "x\t77", ("pmid:77",)),
        ("Title\tPM", "77", ()),
        ("Title\tUrl", "https://arxiv.org/abs/2101.00001", ("arxiv:2101.00001",)),
        ("Title\tLink", "https://doi.org/10.1234/AB", ("doi:10.1234/ab",)),
        ("Title\tURL", "https://example.org/77", ()),
        *(
            ("Title\tid\tidentifiers", f"{cell}\t{cell}", ())
            for cell in ("5", "t-0123456789abcdef", "isbn:5", "doi:", ":", "a; b")
        ),
    ],
)
def test_identifiers_of_columns_are_read_and_other_values_ignored(header, cell, identifiers):
    (paper,) = delimited.read(source(f"{header}\nOne\t{cell}\n"))
    assert paper == Paper("One", "", ("given.txt",), identifiers=identifiers)
