"""The process behind ``tagger review backend``: a web server, a puller, and training runs."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from tagger.cli.output import load_model_for
from tagger.cli.terminal import echo
from tagger.errors import TaggerError
from tagger.labels import ConflictRule, LabelStore
from tagger.review.backend import (
    Credentials,
    PullWorker,
    connect_backend,
    disconnect_backend,
    make_backend,
)
from tagger.review.project import ReviewProject
from tagger.review.pull import pull

if TYPE_CHECKING:
    from tagger.model import TaggerModel


class _ModelInUse:
    """Loads a model once, and again when its alias has moved to another version."""

    def __init__(self, store: LabelStore, name: str) -> None:
        self._folder = store.folder
        self._name = name
        self._model = load_model_for(store, name)

    def __call__(self) -> TaggerModel:
        from tagger.registry import Registry

        if not self._model.name.startswith("local/"):
            version = Registry().find(self._name)
            if version.name != self._model.name:
                # The taxonomy may have changed with it.
                self._model = load_model_for(LabelStore(self._folder), self._name)
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
    """Serve until interrupted; then take the connection to Label Studio back.

    Parameters
    ----------
    store, project:
        Where annotations come home to, and from where.
    model:
        A version, an alias or a model's folder.
    address:
        Host and port to listen on.
    url:
        Where Label Studio reaches it, if not there.
    train_after:
        Number of new annotations that trigger a training run; 0 for never.
    conflicts:
        What settles differences of reviewers.

    Raises
    ------
    TaggerError
        If the port is taken, the model does not load or Label Studio does not take the backend.
    """
    import uvicorn

    in_use = _ModelInUse(store, model)
    credentials = Credentials()

    def train() -> None:
        command = [sys.executable, "-m", "tagger", "train", "--json"]
        command += ["--labels", str(store.folder), "--conflicts", conflicts]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            report = json.loads(done.stdout)
            echo(f"{report['model']} is now {', '.join(report['aliases'])}", err=True)
        else:
            said = done.stderr.strip().splitlines()
            echo(said[-1] if said else "training ended without a word", err=True)

    worker = PullWorker(
        lambda: pull(project, store, conflicts),
        train,
        train_after,
        lambda text: echo(text, err=True),
    )
    app = make_backend(in_use, credentials, worker.wake)
    # Without a limit, a request that hangs on the other side would keep the backend from ending.
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    listener = _listen(*address)
    # In a thread of its own, for Label Studio asks back while the backend is being connected.
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    # Explicitly, for a shell that starts it in the background has interrupts ignored.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    try:
        thread.start()
        worker.start()
        connect_backend(project, url or "http://{}:{}".format(*address), credentials)
        # What was finished while no backend listened.
        worker.wake()
        echo(f"Serving {in_use().name} to {project.url}; Ctrl-C ends it", err=True)
        thread.join()
    except KeyboardInterrupt:
        echo("Ending", err=True)
    finally:
        worker.stop()
        server.should_exit = True
        thread.join()
        disconnect_backend(project, credentials)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise TaggerError(
            f"{host}:{port} cannot be listened on ({error.strerror or error})",
            hint="Choose another with --port",
        ) from error
