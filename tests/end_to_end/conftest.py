"""What tests on the whole share: a demo run in a copy of the project, Label Studio, a browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.mlflow_server import MlflowServer
from helpers.ports import free_port
from helpers.samples import shell_environment

from tagger.review import Connection, EmbeddedServer
from tagger.review.server import FOLDER_VARIABLE, install
from tagger.training.encoders import JOBS_VARIABLE

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Demo:
    """A copy of the project in which both demos were run with this environment's programs.

    ``output`` is that of ``make demo-train``.
    """

    root: Path
    output: str
    port: int

    def make(self, *arguments):
        """Run make, with this environment in place of the one that it would install."""
        old = [part for name in ("light", "training") for part in ("-o", f"{sys.prefix}/.{name}")]
        return self.run("make", *old, f"VENV={sys.prefix}", *arguments)

    def run(self, *command):
        """Run a command in the copy and return what it printed; it must succeed."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def environment(self):
        """Variables of a shell in which this environment's programs are on the path."""
        environment = shell_environment(COLUMNS="120", LABEL_STUDIO_PORT=str(self.port))
        environment[FOLDER_VARIABLE] = str(self.root / ".label-studio")
        for name in (JOBS_VARIABLE, "MAKEFLAGS"):  # of 'make test'
            environment.pop(name, None)
        return environment


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The demo as a new user runs it: real encoder, shipped labels, default settings."""
    root = tmp_path_factory.mktemp("demo") / "main"
    root.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "labels", "examples"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, root / name)
    if (ROOT.parent / "shared").is_dir():
        (root.parent / "shared").symlink_to(ROOT.parent / "shared")
    port = free_port()
    yield Demo(root, Demo(root, "", port).make("demo-train"), port)
    EmbeddedServer(root / ".label-studio").stop()


@pytest.fixture(scope="session")
def label_studio_environment():
    """The environment of the real Label Studio; installed at the first use."""
    environment = ROOT / ".label-studio" / "venv"
    install(environment, print)
    return environment


class Server:
    """A Label Studio server."""

    def __init__(self, folder, environment):
        self.embedded = EmbeddedServer(folder, environment)
        self.data = folder / "data"
        running = self.embedded.start(free_port())
        self.url, self.email = running.url, running.email
        self.password, self.token = running.password, running.token


@pytest.fixture(scope="session")
def server(tmp_path_factory, label_studio_environment):
    """A real Label Studio server."""
    server = Server(tmp_path_factory.mktemp("label-studio"), label_studio_environment)
    yield server
    server.embedded.stop()


@pytest.fixture(scope="session")
def connection(server):
    """A connection to the server."""
    return Connection(server.url, server.token)


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory):
    """A real MLflow server."""
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    yield server
    server.kill()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 that nobody vouches for, with its key in one file."""
    folder = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", "key.pem", "-out", "server.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    with (folder / "server.pem").open("ab") as file:
        file.write((folder / "key.pem").read_bytes())
    return folder / "server.pem"
