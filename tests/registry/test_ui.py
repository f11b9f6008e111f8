"""MLflow's pages for the store of a workspace."""

import shutil
import signal
import socket
import subprocess

import httpx
import psutil
import pytest
from helpers.ports import free_port
from helpers.samples import TAGGER
from helpers.tiny_training import log_tiny

from tagger.errors import TaggerError
from tagger.registry import Registry, serve_pages


@pytest.fixture
def background():
    """Start programs as a shell does in the background: interrupts are ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.mlflow
@pytest.mark.usefixtures("background")
def test_the_pages_are_served_by_few_processes_until_interrupted(
    tmp_path, monkeypatch, label_folder, saved_model
):
    monkeypatch.chdir(tmp_path)
    version = log_tiny(Registry(), label_folder, saved_model, right=1.0)
    command = [TAGGER, "ui", "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as ui:
        try:
            address = ui.stdout.readline().split()[-1]
            models = httpx.get(f"{address}/api/2.0/mlflow/registered-models/search").json()
            assert version.name.split("/")[0] in str(models)
            assert "<html" in httpx.get(address).text
            children = psutil.Process(ui.pid).children(recursive=True)
            assert len(children) <= 3
        finally:
            ui.send_signal(signal.SIGINT)
    assert ui.returncode == 0
    assert not psutil.wait_procs(children, timeout=20)[1]


def test_a_server_that_ends_by_itself_has_no_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").touch()
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    with pytest.raises(TaggerError, match="MLflow's server ended"):
        serve_pages(free_port(), lambda address: pytest.fail(address))


def test_without_versions_or_a_free_port_an_error_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tagger._util.ports._FREE_SECONDS", 0)
    with pytest.raises(TaggerError, match="no versions"):
        serve_pages(free_port(), print)
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").touch()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(TaggerError, match="in use"):
            serve_pages(other.getsockname()[1], print)
