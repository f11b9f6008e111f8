import threading

import pytest
from fastapi.testclient import TestClient
from tiny_model import save_tiny_model

from tagger.cli import output
from tagger.cli.backend import _ModelInUse
from tagger.errors import TaggerError
from tagger.labels import LabelStore
from tagger.model import load_model
from tagger.registry import Registry
from tagger.review.backend import Credentials, PullWorker, make_backend
from tagger.review.pull import PullReport
from tagger.taxonomy_changes import RenameTag
from tagger.taxonomy_migration import make_change_in

TASK = {"id": 1, "data": {"title": "On the heart", "abstract": "A trial on the heart."}}


@pytest.fixture
def credentials():
    return Credentials()


@pytest.fixture
def finished():
    return []


@pytest.fixture
def client(model, credentials, finished):
    app = make_backend(lambda: model, credentials, lambda: finished.append(1))
    return TestClient(app, headers={"Authorization": credentials.header})


def test_only_health_is_open_to_all(client, finished):
    del client.headers["Authorization"]
    assert client.get("/health").json()["status"] == "UP"
    for path in ("/setup", "/predict", "/webhook"):
        assert client.post(path, json={}).status_code == 401
        assert client.post(path, json={}, auth=("tagger", "guess")).status_code == 401
    assert not finished


def test_predictions_are_those_of_the_model(client, model):
    assert client.post("/setup", json={}).json() == {"model_version": "tagger/1"}
    unaided = {"data": {**TASK["data"], "queue": "blind"}}
    answer = client.post("/predict", json={"tasks": [TASK, {"data": {"x": 1}}, "odd", unaided]})
    first, second, third, blind = answer.json()["results"]
    assert first["model_version"] == "tagger/1"
    assert first["result"][0]["from_name"] == "kind"
    assert second["result"] == third["result"] == blind["result"] == []


@pytest.mark.parametrize("content", [{}, {"tasks": 3}, [], "x"])
def test_a_malformed_request_is_refused(client, content):
    assert client.post("/predict", json=content).status_code == 422


def test_the_webhook_tells_of_annotations_only(client, finished):
    client.post("/webhook", json={"action": "TASKS_CREATED"})
    assert not finished
    client.post("/webhook", json={"action": "ANNOTATION_CREATED"})
    assert finished


def test_enough_annotations_train_once():
    trained = threading.Event()
    reports = iter([PullReport(new=2), PullReport(new=1), PullReport()])
    pulled = [threading.Event() for _ in range(3)]
    steps = iter(pulled)

    def pull():
        next(steps).set()
        return next(reports)

    said = []
    worker = PullWorker(pull, trained.set, 3, said.append)
    worker.start()
    worker.wake()
    assert pulled[0].wait(10)
    worker.wake()
    assert trained.wait(10)
    worker.stop()
    assert "Training on 3 new annotations" in said


def test_a_model_that_cannot_be_loaded_is_a_plain_answer(credentials):
    def model():
        raise TaggerError("there is no model 'champion'")

    app = make_backend(model, credentials, list)
    client = TestClient(app, headers={"Authorization": credentials.header})
    answer = client.post("/predict", json={"tasks": [TASK]})
    assert answer.status_code == 503
    assert "there is no model" in answer.json()["detail"]


def test_no_two_runs_share_a_password_or_a_name():
    first, second = Credentials(), Credentials()
    assert first.password != second.password
    assert first.title != second.title
    assert first.password not in repr(first)


def test_a_champion_of_a_changed_taxonomy_is_taken_into_use(label_folder, tmp_path, monkeypatch):
    def trained(name):
        taxonomy = LabelStore(label_folder).taxonomy
        return load_model(save_tiny_model(tmp_path / name, taxonomy), f"tagger/{name}")

    now = {"champion": trained("1")}
    monkeypatch.setattr(output, "load_model_named", lambda name, papers: now[name])
    monkeypatch.setattr(Registry, "find", lambda _, name: now[name])
    in_use = _ModelInUse(LabelStore(label_folder), "champion")
    assert in_use().name == "tagger/1"
    rename = RenameTag(facet="kind", tag="survey", into="review")
    make_change_in(LabelStore(label_folder), rename, "ann")
    now["champion"] = trained("2")
    assert in_use().name == "tagger/2"
