import json

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
