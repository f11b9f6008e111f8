"""A Label Studio server of the workspace's own: installed apart, on loopback, data beside it.

Label Studio pins versions that differ from ours, so it lives in an environment of its own. All it
keeps is in one folder: ``venv``, ``data`` (SQLite), ``account.json`` (readable by the owner only),
``server.json`` (the running process) and ``server.log``.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tagger.atomic import exclusively, replacing
from tagger.errors import TaggerError

DEFAULT_FOLDER = Path(".label-studio")
DEFAULT_PORT = 8080
PACKAGE = "label-studio>=1.23,<1.24"
_PROGRAM = "label-studio"
_DATA = "data"
_HOST = "127.0.0.1"
_EMAIL = "reviewer@localhost.local"
_BANNED_SUBNETS = (
    "0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,169.254.0.0/16,172.16.0.0/12,192.168.0.0/16,"
    "224.0.0.0/4,240.0.0.0/4,fc00::/7,fe80::/10"
)
_START_SECONDS = 300
_STOP_SECONDS = 20
_FREE_SECONDS = 5.0

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers, and how to log in."""

    url: str
    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    pid: int


@dataclass(frozen=True, slots=True)
class _Process:
    """The process of a server, and where it listens."""

    pid: int
    port: int


class EmbeddedServer:
    """The Label Studio of a workspace.

    Parameters
    ----------
    folder:
        Where all of it is kept.
    environment:
        The virtual environment that Label Studio is in, or is installed into.
    """

    def __init__(self, folder: Path = DEFAULT_FOLDER, environment: Path | None = None) -> None:
        self.folder = folder
        self.environment = environment or folder / "venv"
        self._state = folder / "server.json"

    def running(self) -> RunningServer | None:
        """Return the running server, or None if none runs or it does not answer."""
        process = self._process()
        if process is None or not _healthy(process.port):
            return None
        return RunningServer(_url(process.port), **self._account(), pid=process.pid)

    def start(self, port: int = DEFAULT_PORT, report: Report = lambda _: None) -> RunningServer:
        """Start the server, or find the running one, and wait until it answers.

        Parameters
        ----------
        port:
            Of the loopback address.
        report:
            Called with each step that takes a while, in words.

        Raises
        ------
        TaggerError
            If the port is taken, the installation fails, or the server does not come up.
        """
        with exclusively(self._state):
            process = self._process()
            if process is None:
                install(self.environment, report)
                if not _becomes_free(port):
                    raise TaggerError(
                        f"port {port} is in use by another program",
                        hint="Choose another with --port",
                    )
                account = self._account()
                report("Starting Label Studio")
                process = self._launch(port, account)
            self._wait_until_healthy(process)
            return RunningServer(_url(process.port), **self._account(), pid=process.pid)

    def stop(self) -> bool:
        """End the server and return True, or return False if none runs."""
        import psutil

        with exclusively(self._state):
            process = self._process()
            if process is not None:
                main = psutil.Process(process.pid)
                family = [main, *main.children(recursive=True)]
                for member in family:
                    _signal(member.pid, signal.SIGTERM)
                _, alive = psutil.wait_procs(family, timeout=_STOP_SECONDS)
                for member in alive:
                    _signal(member.pid, signal.SIGKILL)
                psutil.wait_procs(alive, timeout=_STOP_SECONDS)
            self._state.unlink(missing_ok=True)
            return process is not None

    def _process(self) -> _Process | None:
        import psutil

        try:
            process = _Process(**json.loads(self._state.read_text(encoding="utf-8")))
            found = psutil.Process(process.pid)
            # The number may have gone to another process meanwhile.
            command = found.cmdline()
            ours = any(Path(word).name == _PROGRAM for word in command)
            ours = ours and str(process.port) in command
            return process if ours and found.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, TypeError, psutil.Error):
            return self._unrecorded()

    def _unrecorded(self) -> _Process | None:
        """Find a server that was started by a call that was killed before it could note it."""
        import psutil

        data = str(self.folder.resolve() / _DATA)
        for found in psutil.process_iter():
            with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
                command = found.cmdline()
                ours = any(Path(word).name == _PROGRAM for word in command)
                if ours and found.cwd() == data and found.status() != psutil.STATUS_ZOMBIE:
                    return _Process(found.pid, int(command[command.index("--port") + 1]))
        return None

    def _account(self) -> dict[str, str]:
        """Return the login of the workspace's account; made at the first call."""
        path = self.folder / "account.json"
        try:
            account: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
            # As it may have come out of a backup.
            path.chmod(0o600)
        except FileNotFoundError:
            account = {
                "email": _EMAIL,
                "password": secrets.token_urlsafe(12),
                "token": secrets.token_hex(20),
            }
            with replacing(path, mode=0o600) as file:
                json.dump(account, file)
        except (OSError, ValueError) as error:
            raise TaggerError("the login of Label Studio cannot be read", path=path) from error
        return account

    def _launch(self, port: int, account: dict[str, str]) -> _Process:
        data = self.folder.resolve() / _DATA
        data.mkdir(parents=True, exist_ok=True)
        # The database holds abstracts and tokens.
        data.chmod(0o700)
        # The password goes through the environment: arguments can be read by other users.
        environment = {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "LABEL_STUDIO_BASE_DATA_DIR": str(data),
            "LABEL_STUDIO_USERNAME": account["email"],
            "LABEL_STUDIO_PASSWORD": account["password"],
            "LABEL_STUDIO_USER_TOKEN": account["token"],
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
            # Nothing is sent anywhere.
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            # It may call the backend on this machine, but nothing else of a private network.
            "USE_DEFAULT_BANNED_SUBNETS": "false",
            "USER_ADDITIONAL_BANNED_SUBNETS": _BANNED_SUBNETS,
        }
        command = [str(self.environment.resolve() / "bin" / _PROGRAM), "start"]
        command += ["--no-browser", "--enable-legacy-api-token"]
        command += ["--internal-host", _HOST, "--port", str(port)]
        # It tells which papers were looked at.
        (self.folder / "server.log").touch(mode=0o600)
        with (self.folder / "server.log").open("ab") as log:
            started = subprocess.Popen(
                command,
                cwd=data,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process = _Process(started.pid, port)
        with replacing(self._state) as file:
            json.dump(asdict(process), file)
        return process

    def _wait_until_healthy(self, process: _Process) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not _healthy(process.port):
            if self._process() is None:
                raise TaggerError(
                    f"Label Studio ended while starting: {self._last_words()}",
                    path=self.folder / "server.log",
                )
            if time.monotonic() > deadline:
                raise TaggerError(
                    f"Label Studio did not come up in {_START_SECONDS} s",
                    path=self.folder / "server.log",
                    hint="End it with 'tagger review stop'",
                )
            time.sleep(0.3)

    def _last_words(self) -> str:
        log = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in log.splitlines() if line.strip()]
        return lines[-1][:300] if lines else "it said nothing"


def install(environment: Path, report: Report = lambda _: None) -> None:
    """Install Label Studio into a virtual environment, unless it is there.

    An installation that was interrupted is taken up again; one that another process is at work on
    is waited for.

    Raises
    ------
    TaggerError
        If it fails.
    """
    done = environment / ".installed"
    with exclusively(environment):
        if done.exists() and done.read_text(encoding="utf-8") == PACKAGE:
            return
        report(f"Installing {PACKAGE} into {environment} (some minutes, 1 GB)")
        pip = [str(environment / "bin" / "python"), "-m", "pip"]
        for command in (
            [sys.executable, "-m", "venv", str(environment)],
            [*pip, "install", "--quiet", "--disable-pip-version-check", PACKAGE],
        ):
            finished = subprocess.run(command, capture_output=True, text=True, check=False)
            if finished.returncode:
                said = (finished.stderr or finished.stdout).strip().splitlines()
                reason = said[-1] if said else "no reason given"
                raise TaggerError(f"Label Studio cannot be installed: {reason}", path=environment)
        with replacing(done) as file:
            file.write(PACKAGE)


def _url(port: int) -> str:
    return f"http://{_HOST}:{port}"


def _healthy(port: int) -> bool:
    try:
        # A proxy of the environment has no business on this machine.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{_url(port)}/health", timeout=10) as answer:
            content: Any = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return False
    return isinstance(content, dict) and content.get("status") == "UP"


def _becomes_free(port: int) -> bool:
    """Tell whether a port is free; a server that was just killed frees its own a moment later."""
    deadline = time.monotonic() + _FREE_SECONDS
    while not _is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
