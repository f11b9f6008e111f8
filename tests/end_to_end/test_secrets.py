"""Tokens and passwords are in no output, log, store, address or process list."""

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from helpers.samples import TAGGER, run

TOKEN = "planted-token-of-nobody"
PASSWORD = "planted-password-of-nobody"


def process_list():
    """Return the arguments of all processes."""
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += path.read_bytes()
    return found.decode(errors="replace")


@pytest.fixture
def deaf():
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def interruptible():
    """Let programs heed Ctrl-C, which what a shell starts in the background does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def planted(port):
    address = f"http://me:{PASSWORD}@127.0.0.1:{port}"
    return {
        "LABEL_STUDIO_URL": address,
        "LABEL_STUDIO_API_KEY": TOKEN,
        "MLFLOW_TRACKING_URI": address,
        "MLFLOW_TRACKING_PASSWORD": TOKEN,
        "MLFLOW_TRACKING_USERNAME": "me",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }


@pytest.mark.parametrize("command", ["review status", "history"])
def test_an_error_tells_no_secret(label_folder, tmp_path, monkeypatch, command, deaf):
    port = deaf.getsockname()[1]
    deaf.close()
    for name, value in planted(port).items():
        monkeypatch.setenv(name, value)
    store = planted(port)["MLFLOW_TRACKING_URI"]
    done = run(*command.split(), cwd=tmp_path, code=2, store=store)
    assert done.stdout == ""
    assert f"http://127.0.0.1:{port}" in done.stderr
    assert "planted" not in done.stderr


@pytest.mark.parametrize("command", ["review status", "history"])
def test_neither_the_process_list_nor_a_traceback_tells_a_secret(
    label_folder, tmp_path, command, deaf, interruptible
):
    deaf.settimeout(60)
    process = subprocess.Popen(
        [TAGGER, *command.split()],
        cwd=tmp_path,
        env={**os.environ, **planted(deaf.getsockname()[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with deaf.accept()[0]:
        assert "planted" not in process_list()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "planted" not in said


@pytest.mark.acceptance
@pytest.mark.label_studio
def test_a_round_trip_leaves_no_token_behind(workspace, server, monkeypatch, tmp_path):
    monkeypatch.setenv("LABEL_STUDIO_URL", server.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", server.token)
    project = ("--project", "no secrets")
    said = ""
    for step in ("push", "status", "pull"):
        pages = ("page.txt",) if step == "push" else ()
        done = run("review", step, *pages, *project, "--labels", "labels", cwd=workspace, code=0)
        said += done.stdout + done.stderr
    said += process_list()
    written = {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()}
    written[server.data.parent / "server.log"] = (server.data.parent / "server.log").read_bytes()
    assert any(path.suffix == ".db" for path in written)
    for secret in (server.token, server.password):
        assert secret not in said
        assert not [path for path, content in written.items() if secret.encode() in content]
