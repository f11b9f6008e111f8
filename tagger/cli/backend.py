"""Run ``tagger review backend``: a web server, a thread that pulls, and training runs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tagger._util.interrupts import interruptible
from tagger.cli.output import echo, load_model_for
from tagger.cli.train import options_of
from tagger.errors import TaggerError
from tagger.labels import ConflictRule, LabelStore
from tagger.review import (
    LOOPBACK,
    Credentials,
    PullWorker,
    ReviewProject,
    connect_backend,
    disconnect_backend,
    make_backend,
    pull_labels,
)

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from tagger.model import TaggerModel


class ModelInUse:
    """Load a model once, and again when its alias points to another version.

    The alias is looked up at most every ``recheck`` seconds. Errors of a lookup are passed to
    ``report``; the loaded model stays in use.
    """

    def __init__(
        self,
        store: LabelStore,
        name: str,
        report: Callable[[str], None],
        recheck: float = 1.0,
    ) -> None:
        self._folder, self._name = store.folder, name
        self._report, self._recheck = report, recheck
        self._model = load_model_for(store, name)
        self._due = 0.0
        self._looking = threading.Lock()
        # Loading MLflow takes longer than Label Studio waits for some answers: do it now.
        self()

    def __call__(self) -> TaggerModel:
        from tagger.registry import Registry

        due = time.monotonic() >= self._due and not self._model.name.startswith("local/")
        # One request looks; concurrent requests use the loaded model.
        if due and self._looking.acquire(blocking=False):
            try:
                if Registry().find(self._name).name != self._model.name:
                    # The taxonomy may have changed with it.
                    self._model = load_model_for(LabelStore(self._folder), self._name)
            except TaggerError as error:
                self._report(f"error: {error}; {self._model.name} stays in use")
            finally:
                self._due = time.monotonic() + self._recheck
                self._looking.release()
        return self._model


def run_backend(
    store: LabelStore,
    project: ReviewProject,
    model: str,
    address: tuple[str, int],
    url: str | None,
    train_after: int,
    conflicts: ConflictRule,
) -> None:
    """Serve until interrupted, then remove the connection to Label Studio.

    Label Studio reaches the backend at ``url``, by default at ``address``. After ``train_after``
    new annotations a training run starts; 0 means never.
    """
    from tagger.registry import count_new_corrections

    report = partial(echo, err=True)
    in_use = ModelInUse(store, model, report)
    if train_after:
        training_options(in_use().name)  # a model that cannot be trained again is refused
    credentials = Credentials()
    url = url or "http://{}:{}".format(*address)
    worker = PullWorker(
        partial(pull_labels, project, store, conflicts),
        partial(count_new_corrections, store),
        partial(_train, store, in_use, conflicts),
        train_after,
        report,
    )
    hosts = (*LOOPBACK, address[0], urlsplit(url).hostname or address[0])
    app = make_backend(in_use, credentials, worker.wake, hosts)

    def connect(_port: int) -> None:
        connect_backend(project, url, credentials)
        # Pull annotations that were finished while no backend was running.
        worker.wake()
        report(f"Serving {in_use().name} to {project.url}; Ctrl-C ends it")

    worker.start()
    try:
        serve_until_interrupted(app, address, connect)
        report("Ending")
    finally:
        worker.stop()
        disconnect_backend(project, credentials)


def serve_until_interrupted(
    app: FastAPI, address: tuple[str, int], ready: Callable[[int], None]
) -> None:
    """Serve an application until Ctrl+C; port 0 takes a free one.

    ``ready`` is called with the port when requests are accepted, and while they are answered.
    Raises a TaggerError if the address cannot be listened on.
    """
    try:
        listener = socket.create_server(address)
    except OSError as error:
        problem = "cannot listen on {}:{}".format(*address)
        raise TaggerError(
            f"{problem} ({error.strerror or error})", hint="Choose another with --port"
        ) from error
    server = make_server(app)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)

    def end() -> None:
        # Open connections are given some seconds.
        server.should_exit = True
        thread.join()

    thread.start()
    with suppress(KeyboardInterrupt), interruptible(end):
        ready(listener.getsockname()[1])
        thread.join()


def _train(store: LabelStore, model: Callable[[], TaggerModel], conflicts: ConflictRule) -> bool:
    """Run 'tagger train' with the settings of the model in use; report and return its success."""
    command = [sys.executable, "-m", "tagger", "train", "--json"]
    command += ["--labels", str(store.folder), "--conflicts", conflicts]
    try:
        command += training_options(model().name)
    except TaggerError as error:
        echo(f"error: {error}", err=True)
        return False
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        made = json.loads(done.stdout)
        echo(f"{made['model']} is now {', '.join(made['aliases'])}", err=True)
    else:
        lines = done.stderr.strip().splitlines()
        echo(lines[-1] if lines else "error: training failed without a message", err=True)
    return done.returncode == 0


def training_options(name: str) -> list[str]:
    """Return the options of 'tagger train' for a model's settings; refuse one from a pickle."""
    from tagger.registry import Registry, is_shipped_name, settings_of, updates_shipped_model

    registry = Registry()
    version = None if name.startswith("local/") else registry.find(name)
    if updates_shipped_model(registry, version) if version else is_shipped_name(name):
        return ["--heads-only"]
    settings = settings_of(registry, version) if version else None
    if settings and settings.recipe == "from-setfit":
        raise TaggerError(
            f"{name} is from a SetFit checkpoint, whose pickle is not loaded unasked",
            hint=f"Leave out --train-after, and train with 'tagger train --from-setfit "
            f"{settings.encoder} --trust-pickle'",
        )
    return options_of(settings) if settings else []


def make_server(app: FastAPI) -> uvicorn.Server:
    """Return the web server for an application."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        backlog=2048,
        limit_concurrency=1000,
        server_header=False,
        # Keep connections open, so that none is closed when a busy client uses it again.
        timeout_keep_alive=75,
        # Without a limit, a request that never ends would prevent the shutdown.
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)
