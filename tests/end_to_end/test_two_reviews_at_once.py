"""Two pushes and two pulls at once, by processes of their own, beside a stand-in server."""

import json
import os
import subprocess
import sys

import pytest
from fake_label_studio import FakeLabelStudio
from helpers.samples import page

from tagger.labels import LabelStore

pytestmark = pytest.mark.acceptance


@pytest.fixture
def server():
    with FakeLabelStudio().running() as server:
        yield server


def both(place, url, *arguments):
    """Run a command twice at once; both must succeed."""
    environment = {**os.environ, "LABEL_STUDIO_URL": url, "LABEL_STUDIO_API_KEY": "a-key"}
    command = [sys.executable, "-m", "tagger", "review", *arguments, "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = [subprocess.Popen(command, cwd=place, env=environment, **pipes) for _ in range(2)]
    printed = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], printed
    return [json.loads(out) for out, _ in printed]


def test_a_paper_has_one_task_and_an_answer_comes_home_once(label_folder, saved_model, server):
    place = label_folder.parent
    titles = [f"Paper {n} on the heart" for n in range(12)]
    (place / "page.txt").write_text(page(*titles), encoding="utf-8")
    both(place, server.url, "push", "page.txt", "--model", str(saved_model), "--budget", "12")
    tasks = server.state["tasks"].values()
    assert [project["task_number"] for project in server.state["projects"].values()] == [12]
    assert sorted(task["data"]["title"] for task in tasks) == sorted(titles)
    for number, task in enumerate(tasks):
        value = {"choices": ["survey"]}
        choice = {"from_name": "kind", "to_name": "Paper", "type": "choices", "value": value}
        annotation = {"unique_id": f"annotation-{number}", "was_cancelled": False}
        annotation |= {"completed_by": 1, "updated_at": "2026-02-01T10:00:00Z", "result": [choice]}
        task["annotations"] = [annotation]
    reports = both(place, server.url, "pull")
    assert sorted(report["new"] for report in reports) == [0, 12]
    labels = [label for label in LabelStore(label_folder).all_labels() if label.origin]
    assert len({label.origin.annotation for label in labels}) == len(labels) == 12
