import threading
import time
from functools import partial

import pytest
from fastapi.testclient import TestClient
from helpers.samples import write_taxonomy
from helpers.tiny_model import save_tiny_model
from typer.main import get_command

from tagger.cli import app as commands
from tagger.cli import output
from tagger.cli.backend import ModelInUse, training_options
from tagger.cli.train import options_of, training_settings
from tagger.errors import TaggerError
from tagger.labels import LabelStore, apply_change
from tagger.model import load_model
from tagger.registry import Registry
from tagger.review import Credentials, PullWorker, make_backend
from tagger.review.pull import PullReport
from tagger.taxonomy import rename_tag
from tagger.training import TrainingSettings

HERE = "http://127.0.0.1:9090"
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
    return TestClient(app, HERE, headers={"Authorization": credentials.header})


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


def test_the_webhook_reacts_to_annotations_only(client, finished):
    client.post("/webhook", json={"action": "TASKS_CREATED"})
    assert not finished
    client.post("/webhook", json={"action": "ANNOTATION_CREATED"})
    assert finished


class Trainings:
    """What a worker counts and trains on; the first training fails, the second takes a while."""

    def __init__(self):
        self.new, self.pulls, self.runs = 0, 0, []
        self.changed = threading.Condition()
        self.messages = []
        self.worker = PullWorker(self.pull, lambda: self.new, self.train, 3, self.messages.append)

    def pull(self):
        with self.changed:
            self.pulls += 1
            self.changed.notify_all()
        return PullReport(new=1)

    def train(self):
        with self.changed:
            self.runs.append(self.new)
            succeeds = len(self.runs) > 1
            # While it trains, as many annotations come.
            self.new = (3 if len(self.runs) == 2 else 0) if succeeds else self.new
            self.changed.notify_all()
        return succeeds

    def annotate(self):
        with self.changed:
            self.new += 1
            self.worker.wake()

    def until(self, true):
        with self.changed:
            assert self.changed.wait_for(true, 10)


def test_no_annotation_is_lost_to_a_failed_training_or_while_one_runs():
    trainings = Trainings()
    trainings.worker.start()
    for count in range(1, 4):
        trainings.annotate()
        trainings.until(lambda count=count: trainings.pulls == count)
    trainings.until(lambda: trainings.runs == [3])
    while trainings.worker._training:
        time.sleep(0.01)
    trainings.annotate()
    trainings.until(lambda: trainings.runs == [3, 4, 3])
    trainings.worker.stop()
    assert "Training on 4 new annotations" in trainings.messages


def test_a_model_that_cannot_be_loaded_is_a_readable_error(credentials):
    def model():
        raise TaggerError("found no model 'champion'")

    app = make_backend(model, credentials, list)
    client = TestClient(app, HERE, headers={"Authorization": credentials.header})
    answer = client.post("/predict", json={"tasks": [TASK]})
    assert answer.status_code == 503
    assert "found no model" in answer.json()["detail"]


def test_each_run_has_its_own_password_and_name():
    first, second = Credentials(), Credentials()
    assert first.password != second.password
    assert first.title != second.title
    assert first.password not in repr(first)


def test_a_champion_of_a_changed_taxonomy_is_used(label_folder, tmp_path, monkeypatch):
    def trained(name):
        taxonomy = LabelStore(label_folder).taxonomy
        return load_model(save_tiny_model(tmp_path / name, taxonomy), f"tagger/{name}")

    now, looked_up, told = {"champion": trained("1")}, [], []

    def find(_, name):
        looked_up.append(name)
        if name not in now:
            raise TaggerError("the MLflow store cannot be used")
        return now[name]

    monkeypatch.setattr(output, "load_model_named", lambda name, papers: now[name])
    monkeypatch.setattr(Registry, "find", find)
    in_use = ModelInUse(LabelStore(label_folder), "champion", told.append, recheck=3600)
    assert {in_use().name for _ in range(100)} == {"tagger/1"}
    # Loaded once, before the first request, which would otherwise wait for MLflow.
    assert looked_up == ["champion"]
    in_use = ModelInUse(LabelStore(label_folder), "champion", told.append, recheck=0)
    rename = partial(rename_tag, facet="kind", tag="survey", into="review")
    apply_change(LabelStore(label_folder), rename)
    now["champion"] = trained("2")
    assert in_use().name == "tagger/2"
    del now["champion"]
    assert in_use().name == "tagger/2"
    assert told == ["error: the MLflow store cannot be used; tagger/2 stays in use"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Host": "127.0.0.1:9090"}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "evil.example:9090"}, 400),
    ],
)
def test_web_pages_and_other_names_are_refused(client, headers, status):
    assert client.get("/health", headers=headers).status_code == status
    assert client.post("/predict", json={"tasks": []}, headers=headers).status_code == status


def test_a_large_or_chunked_request_is_refused(client, monkeypatch):
    monkeypatch.setattr("tagger.review.backend._LARGEST_BODY", 1000)
    assert client.post("/predict", json={"tasks": []}).status_code == 200
    assert client.post("/predict", json={"tasks": ["x" * 1000]}).status_code == 413
    # A chunked request has no stated length.
    assert client.post("/predict", content=iter([b"x" * 400] * 4)).status_code == 413


def test_a_model_may_lack_a_facet_or_have_older_definitions(label_folder, tmp_path):
    taxonomy = LabelStore(label_folder).taxonomy
    folder = str(save_tiny_model(tmp_path / "model", taxonomy))
    kind, field = taxonomy.facets
    described = kind.model_copy(update={"definition": "Said anew."})
    size = kind.model_copy(update={"name": "size"})
    write_taxonomy(label_folder, taxonomy.model_copy(update={"facets": (described, field, size)}))
    assert output.load_model_for(LabelStore(label_folder), folder).taxonomy == taxonomy
    fewer = kind.model_copy(update={"tags": kind.tags[:2]})
    write_taxonomy(label_folder, taxonomy.model_copy(update={"facets": (fewer, field)}))
    with pytest.raises(TaggerError, match="the facet 'kind' differs"):
        output.load_model_for(LabelStore(label_folder), folder)


@pytest.mark.parametrize(
    "settings",
    [
        TrainingSettings(),
        TrainingSettings(recipe="frozen", encoder="a/model", epochs=0, folds=5, float32=True),
        TrainingSettings(encoder="a folder", seed=3),
    ],
)
def test_a_challenger_is_trained_with_the_settings_of_the_model_in_use(settings):
    command = get_command(commands).commands["train"]
    given = command.make_context("train", options_of(settings)).params
    names = ("recipe", "encoder", "max_tokens", "epochs", "folds", "seed")
    assert training_settings(*map(given.get, names), float32=given["float32"]) == settings


def test_a_model_whose_pickle_would_have_to_be_trusted_again_is_not_trained(monkeypatch):
    settings = TrainingSettings(recipe="from-setfit", encoder="a folder")
    monkeypatch.setattr(Registry, "find", lambda *_: "a version")
    monkeypatch.setattr("tagger.registry.updates_shipped_model", lambda *_: False)
    monkeypatch.setattr("tagger.registry.settings_of", lambda *_: settings)
    with pytest.raises(TaggerError, match=r"--from-setfit a folder --trust-pickle"):
        training_options("tagger/1")
