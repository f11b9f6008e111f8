import json
from datetime import date

import pytest
from helpers.reading import source, texts
from hypothesis import given
from hypothesis import strategies as st

from tagger.papers import Paper
from tagger.papers.readers import json_lines
from tagger.papers.readers.json_lines import read_values

objects = st.dictionaries(
    st.text(max_size=5),
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.text()),
    min_size=1,
    max_size=4,
)


@given(st.lists(objects, min_size=1), st.booleans(), st.sampled_from([None, 2]))
def test_any_objects_are_read_without_loss(rows, ascii_only, indent):
    if not ascii_only:
        rows = json.loads(json.dumps(rows).replace("\\ud", "\\ue"))
    lines = [json.dumps(row, ensure_ascii=ascii_only, indent=indent) for row in rows]
    for content in ("\n".join(lines), json.dumps(rows, ensure_ascii=ascii_only, indent=indent)):
        assert [row for _, row in read_values(source(content))] == rows


def test_json_lines_and_arrays_are_read():
    rows = [{"title": "A", "abstract": "one"}, {"title": ["B", "c"], "abstract": None}]
    for content in ("\n\n".join(map(json.dumps, rows)), json.dumps(rows), json.dumps(rows[0])):
        assert json_lines.recognise(source(content))
        papers = list(json_lines.read(source(content)))
        assert papers[0] == Paper("A", "one", ("given.txt",))
        assert texts(papers[1:]) in ([], [("B c", "")])
    (paper,) = json_lines.read(source('{"heading": "A", "title": "B"}', title="heading"))
    assert paper.title == "A"


def test_lone_surrogates_and_foreign_ids_are_tolerated():
    odd = r'{"title": "a\ud800b", "link": {}, "id": {"$oid": "5"}, "identifiers": {"doi": 1}}'
    (paper,) = json_lines.read(source(odd))
    assert (paper.title, paper.identifiers) == ("a b", ())


@pytest.mark.parametrize("key", ["items", "results", "papers", "entries", "data"])
def test_an_answer_with_a_title_of_its_own_is_read(key):
    answer = {"title": "Search results", key: [{"title": "A", "abstract": "one"}, {"title": "B"}]}
    for text in (json.dumps(answer), json.dumps(answer, indent=1)):
        assert texts(json_lines.read(source(text))) == [("A", "one"), ("B", "")]


def test_errors_in_consecutive_answers_have_their_lines():
    answer = json.dumps({"count": 2, "results": [{"title": "A"}, {"title": "B"}]}, indent=1)
    text = f"{answer}\n" * 2 + answer.replace("B", "")
    *papers, error = json_lines.read(source(text))
    assert [paper.title for paper in papers] == ["A", "B", "A", "B", "A"]
    assert error.line == text[: text.index('""')].count("\n")


def test_a_broken_answer_costs_no_papers_of_an_earlier_one():
    text = '{"\\u0069tems": [{"title": "A"}]\n}\n{"items": [{]}\n'
    paper, error = json_lines.read(source(text))
    assert (paper.title, error.line) == ("A", 3)


def test_a_json_feed_is_read():
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "New papers",
        "home_page_url": "https://example.org",
        "items": [
            {"title": "A", "content_text": "one", "date_published": "2026-11-03T08:00:00Z"},
            {"id": "2", "title": "B", "content_html": "<p>two</p>", "summary": ""},
            {"id": "3", "title": "C", "content_html": "<p>long</p>", "summary": "three"},
        ],
    }
    papers = list(json_lines.read(source(json.dumps(feed))))
    assert texts(papers) == [("A", "one"), ("B", "two"), ("C", "three")]
    assert papers[0].day == date(2026, 11, 3)


@pytest.mark.parametrize(
    ("subtitle", "title"), [(["A survey"], "Tides: A survey"), (["tides"], "Tides"), ([], "Tides")]
)
def test_a_subtitle_of_crossref_is_part_of_the_title(subtitle, title):
    [paper] = json_lines.read(source(json.dumps({"title": ["Tides"], "subtitle": subtitle})))
    assert paper.title == title


def test_the_fields_that_dblp_and_openreview_nest_are_read():
    hit = {"@id": "1", "info": {"title": "A", "year": "2024", "doi": "10.5555/A"}}
    (paper,) = json_lines.read(source(json.dumps({"result": {"hits": {"hit": [hit]}}})))
    assert (paper.title, paper.identifiers) == ("A", ("doi:10.5555/a",))
    old = {"id": "x", "content": {"title": "A", "abstract": "one"}}
    new = {"id": "y", "content": {"title": {"value": "B"}, "abstract": {"value": "two"}}}
    answer = source(json.dumps({"notes": [old, new], "count": 2}))
    assert texts(json_lines.read(answer)) == [("A", "one"), ("B", "two")]


def test_the_abstracts_of_europe_pmc_are_read():
    result = {"title": "A", "pmid": "1", "abstractText": "<h4>Aim</h4>To look."}
    answer = {"hitCount": 1, "resultList": {"result": [result]}}
    assert texts(json_lines.read(source(json.dumps(answer)))) == [("A", "Aim To look.")]


@pytest.mark.parametrize(
    "own",
    [
        {"references": [{"title": "B"}]},
        {"abstract": "one", "items": [{"title": "B"}]},
        {"doi": "10.1000/a", "items": [{"title": "B"}]},
        {"externalIds": {"DOI": "10.1000/a"}, "data": [{"title": "B"}]},
    ],
)
def test_what_a_paper_lists_is_not_read_in_its_place(own):
    [paper] = json_lines.read(source(json.dumps({"title": "A", **own})))
    assert paper.title == "A"
