"""Two pushes and two pulls at once, by processes of their own, beside a stand-in server."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from helpers.ports import free_port, wait_for
from helpers.samples import page

from tagger.labels import LabelStore

pytestmark = pytest.mark.acceptance

STAND_IN = Path(__file__).parents[1] / "helpers" / "fake_label_studio.py"


@pytest.fixture
def url():
    port = free_port()
    server = subprocess.Popen([sys.executable, str(STAND_IN), str(port)])
    wait_for(f"http://127.0.0.1:{port}/state")
    yield f"http://127.0.0.1:{port}"
    server.kill()
    server.wait()


def state_of(url, new=None):
    data = None if new is None else json.dumps(new).encode()
    request = urllib.request.Request(f"{url}/state", data, method="GET" if new is None else "PUT")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def both(place, url, *arguments):
    """Run a command twice at once; both must succeed."""
    environment = {**os.environ, "LABEL_STUDIO_URL": url, "LABEL_STUDIO_API_KEY": "a-key"}
    command = [sys.executable, "-m", "tagger", "review", *arguments, "--json"]
    running = [
        subprocess.Popen(
            command, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    said = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    return [json.loads(out) for out, _ in said]


def test_a_paper_has_one_task_and_an_answer_comes_home_once(label_folder, saved_model, url):
    place = label_folder.parent
    titles = [f"Paper {n} on the heart" for n in range(12)]
    (place / "page.txt").write_text(page(*titles), encoding="utf-8")
    both(place, url, "push", "page.txt", "--model", str(saved_model), "--budget", "12")
    state = state_of(url)
    assert [project["task_number"] for project in state["projects"].values()] == [12]
    assert sorted(task["data"]["title"] for task in state["tasks"].values()) == sorted(titles)
    for number, task in enumerate(state["tasks"].values()):
        choice = {"from_name": "kind", "to_name": "Paper", "type": "choices"}
        task["annotations"] = [
            {
                "unique_id": f"annotation-{number}",
                "was_cancelled": False,
                "completed_by": 1,
                "updated_at": "2026-02-01T10:00:00Z",
                "result": [{**choice, "value": {"choices": ["survey"]}}],
            }
        ]
    state_of(url, state)
    reports = both(place, url, "pull")
    assert sorted(report["new"] for report in reports) == [0, 12]
    labels = [label for label in LabelStore(label_folder).all_labels() if label.origin]
    assert len({label.origin.annotation for label in labels}) == len(labels) == 12
