"""Install, start and stop a Label Studio server for the workspace, on the loopback interface.

Label Studio pins other versions of packages, so it is installed in a separate virtual environment.
One folder holds everything: ``venv``, ``data`` (SQLite), ``account.json`` (readable by the owner
only) and ``server.log``.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tagger._util.atomic import exclusively, replacing
from tagger._util.ports import HOST, wait_until_free
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from psutil import Process

DEFAULT_FOLDER = Path(".label-studio")
DEFAULT_PORT = 8080
PACKAGE = "label-studio>=1.23,<1.24"
_DATA_SETTING = "LABEL_STUDIO_BASE_DATA_DIR"
_PROGRAM = "label-studio"
_EMAIL = "reviewer@localhost.local"
_BANNED_SUBNETS = (
    "0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,169.254.0.0/16,172.16.0.0/12,192.168.0.0/16,"
    "224.0.0.0/4,240.0.0.0/4,fc00::/7,fe80::/10"
)
_START_SECONDS = 300
_STOP_SECONDS = 20

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A running server and the login of its account."""

    url: str
    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    pid: int


class EmbeddedServer:
    """The Label Studio server of a workspace, in its own folder and virtual environment."""

    def __init__(self, folder: Path = DEFAULT_FOLDER, environment: Path | None = None) -> None:
        self.folder = folder
        self.environment = environment or folder / "venv"
        self._data = folder.resolve() / "data"
        self._log = folder / "server.log"

    def running(self) -> RunningServer | None:
        """Return the running server, or None if it does not run or does not answer."""
        found = self._process()
        return self._describe(*found) if found and _healthy(found[1]) else None

    def start(self, port: int = DEFAULT_PORT, report: Report = lambda _: None) -> RunningServer:
        """Start the server unless it runs, wait until it answers, and return it.

        ``report`` is called with a message before each slow step. Raises a TaggerError if the
        server cannot be installed or started, or the port is in use.
        """
        with exclusively(self._data):
            if self._process() is None:
                install(self.environment, report)
                wait_until_free(port)
                report("Starting Label Studio")
                self._launch(port)
            return self._describe(*self._wait_until_healthy())

    def stop(self) -> bool:
        """Stop the server; return whether it was running."""
        import psutil

        with exclusively(self._data):
            found = self._process()
            if found is None:
                return False
            alive = [found[0], *found[0].children(recursive=True)]
            for stop_signal in (signal.SIGTERM, signal.SIGKILL):
                for process in alive:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.send_signal(stop_signal)
                _, alive = psutil.wait_procs(alive, timeout=_STOP_SECONDS)
            return True

    def _process(self) -> tuple[Process, int] | None:
        """Return the process that runs Label Studio in the data folder, and its port."""
        import psutil

        for process in psutil.process_iter():
            with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
                command = process.cmdline()
                ours = any(Path(word).name == _PROGRAM for word in command)
                alive = process.status() != psutil.STATUS_ZOMBIE
                # The environment identifies it: its working folder changes while it starts.
                if ours and alive and process.environ().get(_DATA_SETTING) == str(self._data):
                    return process, int(command[command.index("--port") + 1])
        return None

    def _describe(self, process: Process, port: int) -> RunningServer:
        return RunningServer(_url(port), **self._account(), pid=process.pid)

    def _account(self) -> dict[str, str]:
        """Return the login of the workspace's account, created at the first call."""
        path = self.folder / "account.json"
        try:
            account: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
            # A restored backup may have other permissions.
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

    def _launch(self, port: int) -> None:
        account = self._account()
        self._data.mkdir(parents=True, exist_ok=True)
        # The database holds abstracts and tokens.
        self._data.chmod(0o700)
        # The password is passed in the environment: other users can read arguments.
        environment = {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            _DATA_SETTING: str(self._data),
            "LABEL_STUDIO_USERNAME": account["email"],
            "LABEL_STUDIO_PASSWORD": account["password"],
            "LABEL_STUDIO_USER_TOKEN": account["token"],
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
            # Turn off telemetry and update checks.
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            # Webhooks may call the backend on this machine, but no other private address.
            "USE_DEFAULT_BANNED_SUBNETS": "false",
            "USER_ADDITIONAL_BANNED_SUBNETS": _BANNED_SUBNETS,
        }
        command = [str(self.environment.resolve() / "bin" / _PROGRAM), "start"]
        command += ["--no-browser", "--enable-legacy-api-token"]
        command += ["--internal-host", HOST, "--port", str(port)]
        # The log shows which papers were opened.
        self._log.touch(mode=0o600)
        with self._log.open("ab") as log:
            subprocess.Popen(
                command,
                cwd=self._data,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait_until_healthy(self) -> tuple[Process, int]:
        deadline = time.monotonic() + _START_SECONDS
        while found := self._process():
            if _healthy(found[1]):
                return found
            if time.monotonic() > deadline:
                raise TaggerError(
                    f"Label Studio did not answer within {_START_SECONDS} s",
                    path=self._log,
                    hint="Stop it with 'tagger review stop'",
                )
            time.sleep(0.3)
        log = self._log.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in log.splitlines() if line.strip()]
        reason = lines[-1][:300] if lines else "its log is empty"
        raise TaggerError(f"Label Studio ended while starting: {reason}", path=self._log)


def install(environment: Path, report: Report = lambda _: None) -> None:
    """Install Label Studio into a virtual environment, unless that has been completed before."""
    done = environment / ".installed"
    with exclusively(environment):
        if done.exists() and done.read_text(encoding="utf-8") == PACKAGE:
            return
        report(f"Installing {PACKAGE} into {environment} (some minutes, 1 GB)")
        pip = [str(environment / "bin" / "python"), "-m", "pip"]
        for command in (
            [sys.executable, "-m", "venv", str(environment)],
            # Modules are compiled at their first import; most are never imported.
            [*pip, "install", "--quiet", "--no-compile", "--disable-pip-version-check", PACKAGE],
        ):
            finished = subprocess.run(command, capture_output=True, text=True, check=False)
            if finished.returncode:
                lines = (finished.stderr or finished.stdout).strip().splitlines()
                reason = lines[-1] if lines else "no reason given"
                raise TaggerError(f"Label Studio cannot be installed: {reason}", path=environment)
        with replacing(done) as file:
            file.write(PACKAGE)


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _healthy(port: int) -> bool:
    import httpx

    try:
        # Requests to this machine bypass proxies.
        answer = httpx.get(f"{_url(port)}/health", trust_env=False, verify=False, timeout=10)
        return bool(answer.json()["status"] == "UP")
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False
