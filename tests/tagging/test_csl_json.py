"""A file of CSL JSON comes back as it was, but for the tags in the field ``keyword``."""

import json
import re

import pytest
from helpers.reading import source
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.papers import collect_papers, read_papers
from tagger.tagging.writers.csl_json import add_csl_keywords, is_csl_json
from tagger.tagging.writers.keywords import write_with_keywords

OURS = re.compile(r"(?:kind|field): [a-z0-9][a-z0-9_-]*")
NEW = ["kind: survey", "field: law"]
CSL = [
    {"id": "a", "type": "article-journal", "title": "Élan “vital”", "DOI": "10.5555/a"},
    {"id": 7, "type": "book", "title": "Two", "keyword": "mine, kind: study", "volume": 1.50},
    {"id": "c", "type": "thesis", "title": "Three", "keyword": "field: law", "note": "\\ \"} ,{"},
]  # fmt: skip


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_only_keywords_change(tmp_path, taxonomy, newline, encoding, indent):
    own = tmp_path / "manifest.json"
    text = json.dumps(CSL, indent=indent, ensure_ascii=indent == 2).replace("\n", newline)
    own.write_bytes(text.encode(encoding))
    read = collect_papers([own])
    tags = [{"kind": ["survey"], "field": ["law"]}] * 3
    taken = [tmp_path / "out" / "manifest.json"]
    [written] = write_with_keywords(read, tags, taxonomy, tmp_path / "out", taken)
    assert written.name == "manifest-2.json"
    found = written.read_bytes().decode(encoding)
    fields = re.compile(r',?\s*"keyword": "[^"]*"')
    assert fields.sub("", found) == fields.sub("", text)
    now = json.loads(found.removeprefix("\ufeff"))
    ours = ", ".join(NEW)
    assert [one["keyword"] for one in now] == [ours, f"mine, {ours}", ours]
    assert [{**one, "keyword": 0} for one in now] == [{**one, "keyword": 0} for one in CSL]
    assert [one.title for one in read_papers([written])] == [one["title"] for one in CSL]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"id":1}', '{"id":1,"keyword":"kind: survey, field: law"}'),
        ('{ "id" : 1 }', '{ "id" : 1, "keyword" : "kind: survey, field: law" }'),
        ('{"keyword":"a; b"}', '{"keyword":"a; b; kind: survey; field: law"}'),
        ('{"keyword": ""}', '{"keyword": "kind: survey, field: law"}'),
        ('{"keyword": null}', '{"keyword": "kind: survey, field: law"}'),
        ('{"keyword": ["é", "kind: x"]}', '{"keyword": ["é", "kind: survey", "field: law"]}'),
        ('{"keyword": 3, "x": {"keyword": "y"}}', '{"keyword": 3, "x": {"keyword": "y"}}'),
        ('{"keyword": "\\ud83d"}', '{"keyword": "\\ud83d, kind: survey, field: law"}'),
        ('{"keyword": "a", "keyword": "b"}', '{"keyword": "a", "keyword": "b, %s"}'),
        ("{}", "{}"),
        ("3", "3"),
    ],
)
def test_keywords_go_in_in_the_style_of_the_record(before, after):
    after = after.replace("%s", ", ".join(NEW))
    assert add_csl_keywords(f"[{before}]", [NEW], OURS) == f"[{after}]"
    assert add_csl_keywords(f"[{after}]", [NEW], OURS) == f"[{after}]"
    kept = add_csl_keywords(f"[{after}]", [[]], OURS)
    assert "survey" not in kept
    assert add_csl_keywords(kept, [[]], OURS) == kept


def test_records_that_are_no_papers_do_not_shift_the_others(tmp_path, taxonomy):
    own = tmp_path / "odd.json"
    parts = [json.dumps(CSL[0]), '{"id": "b", "type": "book", "title": 3', "4"]
    parts += [json.dumps({**CSL[0], "itemType": "note"}), json.dumps({**CSL[2], "title": "Last"})]
    own.write_text(f"[{', '.join(parts)}]", encoding="utf-8")
    read = collect_papers([own], on_error=lambda error: None)
    tags = [{"kind": ["survey"]}, {"kind": ["study"]}]
    [written] = write_with_keywords(read, tags, taxonomy, tmp_path / "out")
    found = written.read_text(encoding="utf-8")
    assert [found.count(f"kind: {tag}") for tag in ("survey", "study")] == [1, 1]
    assert '"kind: study"' in found[found.index('"Last"') :]


@pytest.mark.parametrize(
    ("content", "is_csl"),
    [
        (json.dumps(CSL), True),
        (json.dumps([3, *CSL]), True),
        (json.dumps(CSL[0]), False),
        (json.dumps([{**CSL[1], "display_name": "Two"}]), False),
        (json.dumps([{**CSL[1], "type": "journal-article"}]), False),
        (json.dumps([{"type": "book", "title": "Two"}]), False),
        ("[]", False),
    ],
)
def test_csl_is_told_from_other_json(content, is_csl):
    assert is_csl_json(source(content)) == is_csl


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["keyword", "itemType"]) | st.text(), values), max_size=3
    ),
    st.sampled_from([None, 0, 3]),
)
def test_any_record_keeps_every_other_field(records, indent):
    text = json.dumps(records, indent=indent, ensure_ascii=False)
    found = add_csl_keywords(text, [NEW] * len(records), OURS)
    for old, new in zip(records, json.loads(found), strict=True):
        assert {**old, "keyword": 0} == {**new, "keyword": 0} or not old
    assert add_csl_keywords(found, [NEW] * len(records), OURS) == found
