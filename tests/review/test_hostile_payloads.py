"""Hostile content: text sent to Label Studio stays text, and its answers are validated."""

import json

import pytest
from fastapi.testclient import TestClient
from helpers.stand_in_project import stand_in_project
from lxml import etree

from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.review import Credentials, make_backend, pull_labels
from tagger.review.interface import adapt_interface, build_interface
from tagger.review.tasks import TaskError, read_export, read_label, tags_in_use
from tagger.taxonomy import Facet, Tag, Taxonomy

EVIL = "</View><Script/>\"><img src=x onerror=alert(1)> ]]> <!-- & &lt;b&gt; $title 'x'"
ANNOTATION = {
    "unique_id": "u-1",
    "was_cancelled": False,
    "completed_by": 1,
    "updated_at": "2026-01-01T00:00:00Z",
    "result": [{"from_name": "kind", "value": {"choices": ["survey"]}}],
}
TASK = {
    "id": 3,
    "data": {"title": "Boats", "abstract": "We look."},
    "meta": None,
    "annotations": [ANNOTATION],
}


def test_definitions_stay_text_in_the_interface():
    tags = tuple(Tag(name=name, definition=EVIL) for name in ("one", "two"))
    facet = Facet(name="kind", definition=EVIL, exclusive=True, tags=tags)
    taxonomy = Taxonomy(name="evil", facets=(facet,))
    config = build_interface(taxonomy)
    root = etree.fromstring(config)
    kinds = {node.tag for node in root.iter()}
    assert kinds == {"View", "Style", "Header", "HyperText", "Choices", "Choice", "TextArea"}
    choices = root.find(".//Choices[@name='kind']")
    assert [choice.get("hint") for choice in choices.iter("Choice")] == [EVIL, EVIL]
    assert adapt_interface(config, taxonomy, set) == (config, [])


@pytest.mark.parametrize(
    "config", ["<View>", "\ud800", '<?xml version="1.0" encoding="x"?><View/>', "<View a='\x1b'/>"]
)
def test_an_interface_that_is_not_xml_is_an_error(taxonomy, config):
    with pytest.raises(TaggerError, match="not XML"):
        adapt_interface(config, taxonomy, set)


@pytest.mark.parametrize(
    "export",
    [
        *({}, None, [3], [{}]),
        [{**TASK, "annotations": 3}],
        [{**TASK, "id": []}],
        [{**TASK, "annotations": [{}]}],
        [{**TASK, "annotations": [{**ANNOTATION, "completed_by": {"x": 1}}]}],
        [{**TASK, "annotations": [{**ANNOTATION, "unique_id": None}]}],
    ],
)
def test_an_export_of_another_shape_is_refused(export):
    with pytest.raises(ValueError, match="its export lacks"):
        read_export(json.dumps(export).encode())
    assert read_export(json.dumps([TASK]).encode()) == [TASK]


def spoiled(**changes):
    data = {name: changes.pop(name) for name in ("title", "abstract", "paper") if name in changes}
    return {**TASK, "data": TASK["data"] | data, "annotations": [ANNOTATION | changes]}


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "\ud800"},
        {"title": ["x"]},
        {"paper": "\udfff"},
        {"abstract": None},
        {"updated_at": "2026-01-01"},
        {"updated_at": "never"},
        {"updated_at": 10**30},
        {"result": "x"},
        {"result": [3]},
        {"result": [{"from_name": "Note", "value": {"text": ["\ud800"]}}]},
        {"lead_time": "nan"},
    ],
)
def test_an_unreadable_answer_is_an_error(taxonomy, changes):
    task = spoiled(**changes)
    with pytest.raises(TaskError):
        read_label(task, task["annotations"][0], "ann", taxonomy, "1/now")


@pytest.mark.parametrize(
    "value",
    [None, 3, "x", {"choices": 3}, {"taxonomy": [[], 3, ["x", {}]]}, {"choices": [{}, None]}],
)
def test_a_result_of_another_shape_chooses_no_tag(taxonomy, value):
    task = spoiled(result=[{"from_name": "kind", "value": value}])
    assert ("kind", "survey") not in tags_in_use([task])


def test_one_bad_answer_does_not_stop_the_pull_of_others(taxonomy, label_folder):
    with stand_in_project(taxonomy) as project:
        project.import_tasks([TASK, spoiled(unique_id="u-2")])
        *_, (number, task) = project.kept.items()
        task["data"]["title"] = "\ud800"
        report = pull_labels(project, LabelStore(label_folder))
    assert (report.new, len(report.problems)) == (1, 1)
    assert report.problems[0].startswith(f"task {number} ")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[" * 50_000, 400),
        (b"\xff", 400),
        *((content, 422) for content in (b'["\\ud800"]', b"[NaN]", b"", b"{}", b'{"tasks": {}}')),
        (b'{"tasks": [{"data": {"title": "\\ud800", "abstract": "\\udfff"}}]}', 200),
        (b'{"tasks": [3, null, {"data": 7}, {"data": {"title": []}}]}', 200),
    ],
)
def test_a_request_of_another_kind_is_answered(model, content, code):
    credentials = Credentials()
    app = make_backend(lambda: model, credentials, lambda: None)
    client = TestClient(app, "http://127.0.0.1", headers={"Authorization": credentials.header})
    answer = client.post("/predict", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == code
    assert "ud800" not in answer.text
    json.loads(answer.text)
