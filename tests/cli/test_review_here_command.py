"""``tagger review here`` as a user runs it: started, answered, interrupted, continued."""

import json
import signal
import subprocess
import sys

import httpx
import pytest
from helpers.samples import page, run, shell_environment

from tagger.labels import LabelStore


@pytest.fixture
def folder(label_folder):
    (label_folder.parent / "page.txt").write_text(
        page("First", "Second", "Third"), encoding="utf-8"
    )
    return label_folder.parent


def review(folder, model, answers):
    """Answer some papers, interrupt the review, and return its summary."""
    command = [sys.executable, "-m", "tagger", "review", "here", "page.txt", "--model", model]
    options = ["--audit-share", "0", "--no-browser", "--annotator", "ann", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = subprocess.Popen(
        [*command, *options], cwd=folder, env=shell_environment(), text=True, **pipes
    )
    try:
        address = next(line.split()[1] for line in running.stderr if line.startswith("Review: "))
        base, _, token = address.partition("/?token=")
        assert base.startswith("http://127.0.0.1:")
        with httpx.Client(base_url=base, headers={"x-token": token}, trust_env=False) as client:
            assert client.get("/", params={"token": token}).status_code == 200
            number = client.get("/paper").json()["number"]
            for _ in range(answers):
                body = {"number": number, "tags": {"kind": ["study"]}, "seconds": 2}
                number = client.post("/answer", json=body, timeout=60).json()["number"]
            assert client.get("/estimate", timeout=120).json()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 0, err
    assert "Traceback" not in err
    return json.loads(out)


def test_a_review_is_saved_paper_by_paper_and_continues(folder, saved_model):
    found = review(folder, str(saved_model), 2)
    assert (found["answered"], found["papers"], found["median_seconds"]) == (2, 3, 2.0)
    labels = [one for one in LabelStore(folder / "labels").all_labels() if one.source == "review"]
    assert {label.annotator for label in labels} == {"ann"}
    assert [label.tags for label in labels] == [{"kind": ("study",), "field": ()}] * 2
    found = review(folder, str(saved_model), 1)
    assert (found["answered"], found["papers"]) == (1, 1)
    # Nothing is left, so nothing is served.
    done = run("review", "here", "page.txt", "--model", saved_model, "--audit-share", 0, cwd=folder)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)


def test_what_is_wrong_is_said_before_anything_is_read(folder):
    # Without a champion, 0.9 cannot be measured.
    wrong = (("--strategy", "none"), ("--enough", "kind=2"), ("--enough", "kind=0.9"))
    for options in (*wrong, ("--labels", "nowhere")):
        done = run("review", "here", "page.txt", *options, cwd=folder)
        assert (done.returncode, done.stderr.count("error")) == (2, 1)


def test_the_exit_code_is_1_until_there_is_enough(workspace, tmp_path):
    (tmp_path / "page.txt").write_text(page("Known"), encoding="utf-8")
    command = ("review", "here", tmp_path / "page.txt", "--audit-share", 0)
    for goal, code in (((), 0), (("--enough", "kind=0.99"), 1)):
        done = run(*command, *goal, cwd=workspace)
        assert (done.returncode, done.stdout.count("\n")) == (code, 1), done.stderr
        assert ("kind: not enough for 0.99" in done.stderr) == bool(code)
