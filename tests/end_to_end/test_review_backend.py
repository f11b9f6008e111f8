"""``tagger review backend`` as a process beside a real Label Studio server."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from helpers.ports import free_port
from helpers.samples import TAGGER, run

from tagger.labels import LabelStore
from tagger.registry import Registry, settings_of
from tagger.review import open_project
from tagger.review.tasks import make_result

pytestmark = pytest.mark.acceptance


def wait_until(true, what, seconds=300):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def test_tags_live_pulls_and_trains(workspace, server, connection, tmp_path, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_URL", server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", server.token)
    monkeypatch.chdir(workspace)
    labels = tmp_path / "labels"
    shutil.copytree(workspace / "labels", labels)
    store = LabelStore(labels)
    push = ("review", "push", "page.txt", "--labels", labels, "--target-precision", "0.9")
    done = run(*push, cwd=workspace, code=0)
    assert "cannot be shown" in done.stderr
    assert "2 new papers sent" in done.stdout
    project = open_project(connection, store.taxonomy, None)
    port = free_port()
    command = [TAGGER, "review", "backend", "--train-after", "1"]
    command += ["--labels", labels, "--port", str(port)]
    log = tmp_path / "log.txt"
    # As a shell starts what it is to run in the background: interrupts are ignored.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=workspace, stderr=file, env={**os.environ})
    signal.signal(signal.SIGINT, handler)
    try:
        wait_until(lambda: "Serving tagger/1" in log.read_text(), "the backend does not come up")
        taken = run("review", "backend", "--port", port, "--labels", labels, cwd=workspace, code=2)
        assert "cannot listen on" in taken.stderr
        data = {"title": "By hand", "abstract": "A paper without tags.", "reason": "None."}
        data |= {"marked": data["abstract"], "confidence": {}, "verdicts": []}
        project.import_tasks([{"data": data}])
        [task] = [task for task in project.tasks()[0] if task.paper.title == "By hand"]
        opened = connection.client.tasks.get(str(task.id))
        assert [prediction.model_version for prediction in opened.predictions] == ["tagger/1"]
        result = make_result({"kind": ("study",)}, store.taxonomy)
        connection.client.annotations.create(task.id, result=result)
        wait_until((labels / "corrections.jsonl").exists, "the annotation does not come home")
        [label] = [label for label in store.all_labels() if label.origin]
        assert (label.title, label.tags["kind"]) == ("By hand", ("study",))
        trained = "is now challenger"
        wait_until(lambda: trained in log.read_text(), "no challenger is trained")
        registry = Registry()
        champion, challenger = registry.champion(), registry.challenger()
        assert champion
        assert challenger
        assert settings_of(registry, champion).encoder == "tiny/encoder"
        assert settings_of(registry, challenger) == settings_of(registry, champion)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()
        left = connection.client.webhooks.list(project=str(project.id))
        connection.client.projects.delete(project.id)
    assert not left
    assert "Traceback" not in log.read_text()
