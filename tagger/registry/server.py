"""Serve MLflow's pages for the store of a workspace, on the loopback interface."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from tempfile import TemporaryFile

from tagger._util.interrupts import interruptible
from tagger._util.ports import HOST, wait_until_free
from tagger.errors import TaggerError
from tagger.registry.store import Store
from tagger.registry.tag_run import log_recorded_runs

_START_SECONDS = 120


def serve_pages(port: int, ready: Callable[[str], None]) -> None:
    """Run MLflow's server until it is interrupted; call ``ready`` with its address once it answers.

    It has one worker and runs no background jobs, so it starts in seconds. Raises a TaggerError if
    the store is missing, the port is in use, or the server ends by itself.
    """
    store = Store()
    if not store.embedded:
        ready(store.place)
        return
    if not store.exists:
        raise TaggerError("contains no versions yet", path=store.folder, hint="Run: tagger train")
    log_recorded_runs(store)
    wait_until_free(port)
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    command += ["--backend-store-uri", store.tracking_uri, "--workers", "1"]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with TemporaryFile() as log:
        with subprocess.Popen(command, env=environment, stdout=log, stderr=log) as server:
            try:
                with interruptible(lambda: _end(server)):
                    _wait_until_ready(server, port)
                    if server.poll() is None:
                        ready(f"http://{HOST}:{port}")
                    server.wait()
            except KeyboardInterrupt:
                return
        log.seek(0)
        lines = log.read().decode(errors="replace").split("\n")
    reason = next((line.strip() for line in reversed(lines) if line.strip()), "it gave no reason")
    raise TaggerError(f"MLflow's server ended: {reason[:300]}", path=store.place)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    """Return when the server answers or has ended; raise a TaggerError if neither happens."""
    import httpx

    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None:
        try:
            # Requests to this machine bypass proxies.
            httpx.get(f"http://{HOST}:{port}/health", trust_env=False, timeout=5).raise_for_status()
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise TaggerError(f"MLflow did not answer within {_START_SECONDS} s") from None
            time.sleep(0.2)
        else:
            return
