import contextlib
import json
import stat
import sys
import urllib.request
from pathlib import Path

import pytest
from helpers.ports import free_port

from tagger.errors import TaggerError
from tagger.review import EmbeddedServer
from tagger.review.server import FOLDER_VARIABLE, PACKAGE

HEALTHY = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/health"
        content = b'{"status": "UP"}' if known else repr(dict(os.environ)).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content)
host, port = (sys.argv[sys.argv.index(name) + 1] for name in ("--internal-host", "--port"))
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""


@pytest.fixture
def stand_in(tmp_path):
    """A stand-in for Label Studio that answers at once."""
    made = EmbeddedServer(tmp_path / "home", tmp_path / "venv")
    yield made
    made.stop()


def program(stand_in, source):
    path = stand_in.environment / "bin" / "label-studio"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
    path.chmod(0o755)
    (stand_in.environment / ".installed").write_text(PACKAGE, encoding="utf-8")


def test_the_second_start_finds_the_first(stand_in):
    program(stand_in, HEALTHY)
    assert stand_in.running() is None
    port = free_port()
    first = stand_in.start(port)
    assert first.url == f"http://127.0.0.1:{port}"
    assert stand_in.start(free_port()) == first == stand_in.running()
    assert EmbeddedServer(stand_in.folder).running() == first
    assert stand_in.stop()
    assert stand_in.running() is None
    assert not stand_in.stop()
    again = stand_in.start(port)
    assert (again.password, again.token) == (first.password, first.token)
    # The server of another folder is not found.
    other = EmbeddedServer(stand_in.folder.with_name("other"), stand_in.environment)
    assert other.running() is None
    assert not other.stop()
    assert stand_in.running()


def test_the_server_gets_its_account_and_no_telemetry(stand_in):
    program(stand_in, HEALTHY)
    running = stand_in.start(free_port())
    with urllib.request.urlopen(f"{running.url}/environment", timeout=10) as answer:
        variables = answer.read().decode()
    for value in (running.password, running.token, str(stand_in.folder.resolve() / "data")):
        assert value in variables
    assert "'COLLECT_ANALYTICS': 'false'" in variables
    account = stand_in.folder / "account.json"
    assert stat.S_IMODE(account.stat().st_mode) == 0o600
    assert stat.S_IMODE((stand_in.folder / "data").stat().st_mode) == 0o700
    assert json.loads(account.read_text())["email"] == running.email
    assert stat.S_IMODE((stand_in.folder / "server.log").stat().st_mode) == 0o600
    assert running.password not in repr(running)
    assert running.token not in repr(running)
    account.chmod(0o644)
    assert stand_in.running() == running
    assert stat.S_IMODE(account.stat().st_mode) == 0o600
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            logged = line.read_bytes()
            assert running.password.encode() not in logged
            assert running.token.encode() not in logged


@pytest.mark.parametrize("text", ["[]", "{}", "3", "{"])
def test_a_login_that_cannot_be_read_is_an_error(stand_in, text):
    program(stand_in, HEALTHY)
    stand_in.folder.mkdir()
    (stand_in.folder / "account.json").write_text(text, encoding="utf-8")
    with pytest.raises(TaggerError, match="login of Label Studio cannot be read"):
        stand_in.start(free_port())


def test_all_working_folders_have_one_server(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "shared"))
    monkeypatch.chdir(tmp_path)
    first = EmbeddedServer()
    assert (first.folder, first.environment) == (tmp_path / "shared", tmp_path / "shared" / "venv")
    program(first, HEALTHY)
    running = first.start(free_port())
    try:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            monkeypatch.chdir(tmp_path / name)
            assert EmbeddedServer().running() == running
        # Another server has other data and the same program, unless it has one of its own.
        other = EmbeddedServer(tmp_path / "other")
        assert other.running() is None
        assert other.environment == first.environment
        Path(".label-studio/venv").mkdir(parents=True)
        assert EmbeddedServer(tmp_path / "other").environment == Path(".label-studio/venv")
        assert EmbeddedServer().environment == first.environment
    finally:
        first.stop()
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert EmbeddedServer().folder == tmp_path / "data" / "tagger" / "label-studio"
    # A working folder keeps the one that an earlier version made there.
    Path(".label-studio/data").mkdir()
    assert EmbeddedServer().folder == Path(".label-studio")


def test_a_port_in_use_is_an_error(stand_in, monkeypatch):
    program(stand_in, HEALTHY)
    monkeypatch.setattr("tagger._util.ports._FREE_SECONDS", 0.1)
    other = EmbeddedServer(stand_in.folder.with_name("other"), stand_in.environment)
    port = free_port()
    other.start(port)
    try:
        with pytest.raises(TaggerError, match=f"port {port} is in use"):
            stand_in.start(port)
        with pytest.raises(TaggerError, match=f"port {port} is in use"):
            # Before anything is installed.
            EmbeddedServer(stand_in.folder, stand_in.environment.with_name("none")).start(port)
    finally:
        other.stop()


def test_the_last_line_of_a_failed_start_is_quoted(stand_in):
    program(stand_in, "raise SystemExit('no room on the disk')")
    with pytest.raises(TaggerError, match="ended while starting: no room on the disk"):
        stand_in.start(free_port())


def test_a_failed_installation_is_explained(stand_in, monkeypatch):
    monkeypatch.setattr("tagger.review.server.PACKAGE", "no such package!")
    with pytest.raises(TaggerError, match="Label Studio cannot be installed: "):
        stand_in.start(free_port())
    assert not (stand_in.environment / ".installed").exists()
