"""Install, start and stop the user's own Label Studio server, on the loopback interface.

Label Studio pins other versions of packages, so it is installed in a separate virtual environment.
One folder, for all working folders, holds everything: ``venv``, ``data`` (SQLite), ``account.json``
(readable by the owner only) and ``server.log``.
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

FOLDER_VARIABLE = "TAGGER_LABEL_STUDIO"
_LOCAL = Path(".label-studio")
"""In the working folder: the environment that 'make' installs, and data of earlier versions."""
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
_REPORTED_AT_ONCE = 10

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A running server and the login of its account."""

    url: str
    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    pid: int


def default_folder() -> Path:
    """Return the folder of ``TAGGER_LABEL_STUDIO``, or else one in the user's data folder.

    A working folder with a Label Studio of its own, as earlier versions made them, keeps it.
    """
    from platformdirs import user_data_path

    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    return _LOCAL if (_LOCAL / "data").exists() else user_data_path("tagger") / "label-studio"


class EmbeddedServer:
    """The Label Studio server whose data is in ``folder``, by default the user's only one.

    ``environment`` holds its program, by default the first of these that exists: that of the
    folder, that which 'make' installed in the working folder, that of :func:`default_folder`.
    """

    def __init__(self, folder: Path | None = None, environment: Path | None = None) -> None:
        self.folder = folder or default_folder()
        programs = (self.folder / "venv", _LOCAL / "venv", default_folder() / "venv")
        self.environment = environment or next(filter(Path.exists, programs), programs[-1])
        self._data = self.folder.resolve() / "data"
        self._log = self.folder / "server.log"

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
                wait_until_free(port)
                install(self.environment, report)
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
        return RunningServer(f"http://{HOST}:{port}", **self._account(), pid=process.pid)

    def _account(self) -> dict[str, str]:
        """Return the login of the server's account, created at the first call."""
        path = self.folder / "account.json"
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            account = {name: str(stored[name]) for name in ("email", "password", "token")}
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
        except (OSError, ValueError, LookupError, TypeError) as error:
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
            # "7 of 20" counts the papers that this reviewer has done, not those of this visit.
            "fflag_fix_all_optic_79_task_count_is_wrong_short": "true",
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
                    hint="The first start sets up the database, which may take longer. Look at the "
                    "log, and run the command again to go on waiting. 'tagger review stop' ends it",
                )
            time.sleep(0.3)
        log = self._log.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in log.splitlines() if line.strip()]
        reason = lines[-1][:300] if lines else "its log is empty"
        raise TaggerError(f"Label Studio ended while starting: {reason}", path=self._log)


def install(environment: Path, report: Report = lambda _: None) -> None:
    """Install Label Studio into a virtual environment, unless that has been completed before.

    ``report`` is called with a message for every ten packages.
    """
    done = environment / ".installed"
    with exclusively(environment):
        if done.exists() and done.read_text(encoding="utf-8") == PACKAGE:
            return
        report(f"Installing {PACKAGE} into {environment} (some minutes, 1 GB, for all folders)")
        pip = [str(environment / "bin" / "python"), "-m", "pip"]
        for command in (
            [sys.executable, "-m", "venv", str(environment)],
            # Modules are compiled at their first import; most are never imported.
            [*pip, "install", "--no-compile", "--disable-pip-version-check", PACKAGE],
        ):
            _run(command, environment, report)
        with replacing(done) as file:
            file.write(PACKAGE)


def _run(command: list[str], environment: Path, report: Report) -> None:
    """Run a step of the installation, and report the packages that pip has found so far."""
    found, last = 0, "no reason given"
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            last = line.strip() or last
            found += last.startswith("Collecting ")
            if last.startswith("Installing collected"):
                report(f"Unpacking {found} packages")
            elif last.startswith("Collecting ") and found % _REPORTED_AT_ONCE == 0:
                report(f"Found {found} packages")
    if process.returncode:
        raise TaggerError(f"Label Studio cannot be installed: {last}", path=environment)


def _healthy(port: int) -> bool:
    import httpx

    try:
        # Requests to this machine bypass proxies.
        answer = httpx.get(
            f"http://{HOST}:{port}/health", trust_env=False, verify=False, timeout=10
        )
        return bool(answer.json()["status"] == "UP")
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False
