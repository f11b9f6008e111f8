import json
from pathlib import Path

import pytest
from helpers.refusals import refusal
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import TaggerError
from tagger.readers import json_lines
from tagger.readers.json_lines import is_json, read_json, read_values
from tagger.readers.source import Source

objects = st.dictionaries(
    st.text(max_size=5),
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.text()),
    max_size=4,
)


def source(content, **columns):
    return Source("p.json", Path("p.json"), columns, content.encode("utf-8", "surrogatepass"))


@given(st.lists(objects, min_size=1), st.booleans(), st.sampled_from([None, 2]))
def test_any_objects_are_read_without_loss(rows, ascii_only, indent):
    lines = [json.dumps(row, ensure_ascii=ascii_only, indent=indent) for row in rows]
    if ascii_only:
        expected = rows
        assert [row for _, row in read_values(source("\n".join(lines)))] == expected
        assert [row for _, row in read_values(source(json.dumps(rows, indent=indent)))] == expected
    else:
        try:
            "".join(lines).encode()
        except UnicodeEncodeError:
            return
        assert [row for _, row in read_values(source("\n".join(lines)))] == rows


def test_lines_and_arrays_hold_papers():
    rows = [{"title": "A", "abstract": "one"}, {"title": ["B", "c"], "abstract": None}]
    for content in ("\n\n".join(map(json.dumps, rows)), json.dumps(rows), json.dumps(rows[0])):
        assert is_json(source(content))
        papers = list(read_json(source(content)))
        assert (papers[0].title, papers[0].abstract, papers[0].sources) == ("A", "one", ("p.json",))
        assert [(paper.title, paper.abstract) for paper in papers[1:]] in ([], [("B c", "")])
    (paper,) = read_json(source('{"heading": "A", "title": "B"}', title="heading"))
    assert paper.title == "A"


def test_half_a_surrogate_pair_is_no_text():
    (paper,) = read_json(source(r'{"title": "a\ud800b"}'))
    assert paper.title == "a b"


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ('{"title": "A"}\n\n{"title": "B"\n', 4, "is no JSON"),
        ('{"title": "A"}\n[1]\n', 2, "found a list"),
        ('{"title": "A"}\n{"abstract": "B"}\n', 2, "there is no title here"),
        ('{"title": "A"}\n{"title": {"en": "B"}}\n', 2, "holds a dict, not text"),
        ('[{"title": "A"},\n {"title": "B"}', 2, "not closed"),
        ('[{"title": "A"}\n {"title": "B"}]', 2, "a comma is missing"),
        ('[{"title": "A"}]\nmore', 1, "something follows"),
        ('{"name": "A"}', None, "the columns are: 'name'"),
        ("[]", None, "no papers"),
        ("[" * 100_000, 1, "is no JSON"),
        ('{"title": ' + "9" * 5_000 + "}", 1, "is no JSON"),
    ],
)
def test_broken_json_is_refused_with_its_line(content, line, reason):
    error = refusal(read_json(source(content)))
    assert error.line == line
    assert reason in str(error)


def test_an_id_of_another_kind_does_no_harm():
    (paper,) = read_json(
        source('{"title": "One", "link": {}, "id": {"$oid": "5"}, "identifiers": {"doi": 1}}')
    )
    assert paper.identifiers == ()


def test_brackets_at_the_start_of_a_page_make_no_json():
    assert not is_json(source("[New] Weekly papers\n\nNov 16"))
    assert not is_json(source("{Weekly} papers"))


@given(st.lists(objects, min_size=1), st.sampled_from([None, 2]), st.integers(1, 9), st.data())
def test_where_the_parts_of_a_file_end_makes_no_difference(rows, indent, size, data):
    lines = [json.dumps(row, indent=indent) for row in rows]
    text = data.draw(
        st.sampled_from(["\n".join(lines), json.dumps([*rows, 1.5e10], indent=indent)])
    )
    # A part of it may be missing or doubled.
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    for content in (text, text[:start] + text[end:], text[:end] + text[start:]):
        whole = values_or_problem(content)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_lines, "_CHUNK", size)
            assert values_or_problem(content) == whole


def values_or_problem(content):
    values = []
    try:
        for line, value in read_values(source(content)):
            values.append(
                (line, str(value) if isinstance(value, TaggerError) else json.dumps(value))
            )
    except TaggerError as error:
        values.append((error.line, error.problem))
    return values
