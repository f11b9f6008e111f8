"""The ML backend: a web application that Label Studio asks for tags and notifies of annotations.

It implements the protocol of https://labelstud.io/guide/ml_create: ``/health``, ``/setup``,
``/predict`` and ``/webhook``. All paths but ``/health`` require the user name and password that
Label Studio receives when the backend is connected.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import Body, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from starlette.middleware.base import RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware

from tagger.errors import TaggerError
from tagger.model import TaggerModel, decide
from tagger.papers import Paper
from tagger.review.project import ReviewProject
from tagger.review.pull import PullReport
from tagger.review.tasks import BLIND, TaskError, make_prediction, read_paper

LOOPBACK = ("127.0.0.1", "localhost")
_LARGEST_BODY = 16 * 2**20
_ACTIONS = ["ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"]
_Content = Annotated[dict[str, Any], Body()]
_Login = Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]


@dataclass(frozen=True)
class Credentials:
    """The login of Label Studio at the backend; every instance has a new password."""

    user: str = "tagger"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def title(self) -> str:
        """Title of the backend in Label Studio, different for every run."""
        return f"tagger {hashlib.sha256(self.password.encode()).hexdigest()[:8]}"

    @property
    def header(self) -> str:
        """The value of the ``Authorization`` header (RFC 7617)."""
        pair = f"{self.user}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


class PullWorker:
    """Pulls annotations in the background, and trains after each ``train_after`` of them.

    ``count_new`` counts the annotations that no training has used. Nothing is counted in memory, so
    a restart or a failed training loses none; after a failure, the next annotation starts another
    training. ``train`` returns whether the training succeeded. Neither is called if ``train_after``
    is 0. ``report`` is called with a message for each event.
    """

    def __init__(
        self,
        pull: Callable[[], PullReport],
        count_new: Callable[[], int],
        train: Callable[[], bool],
        train_after: int,
        report: Callable[[str], None],
    ) -> None:
        self._pull, self._count_new, self._train = pull, count_new, train
        self._train_after, self._report = train_after, report
        self._requested = threading.Event()
        self._stopping = self._training = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Start the thread that waits for requests."""
        self._thread.start()

    def wake(self) -> None:
        """Request a pull; several requests before the next pull count as one."""
        self._requested.set()

    def stop(self) -> None:
        """Stop after the current pull."""
        self._stopping = True
        self._requested.set()
        self._thread.join()

    def _work(self) -> None:
        while self._requested.wait() and not self._stopping:
            self._requested.clear()
            try:
                pulled = self._pull()
                self._report(f"Pulled {pulled.new} new, {pulled.changed} changed")
                if self._train_after and not self._training:
                    self._train_if_due()
            except Exception as error:  # one failed pull must not stop later ones
                self._report(f"error: {error}")

    def _train_if_due(self) -> None:
        if (count := self._count_new()) >= self._train_after:
            self._report(f"Training on {count} new annotations")
            self._training = True
            threading.Thread(target=self._train_and_look_again, daemon=True).start()

    def _train_and_look_again(self) -> None:
        succeeded = False
        try:
            succeeded = self._train()
        finally:
            self._training = False
        if succeeded:  # there may be enough new annotations for the next training
            self.wake()


def make_backend(
    model: Callable[[], TaggerModel],
    credentials: Credentials,
    notify: Callable[[], None],
    hosts: Sequence[str] = LOOPBACK,
) -> FastAPI:
    """Return the web application of the backend.

    ``model`` is called at each request and ``notify`` when annotations have changed. Requests must
    name one of ``hosts`` in their Host header.
    """
    # As many predictions at once as there are cores; other requests wait in order.
    limiter = CapacityLimiter(os.cpu_count() or 1)
    app = FastAPI(title="tagger", docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(_reject_browsers_and_large_bodies)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*hosts], www_redirect=False)

    def log_in(login: _Login) -> None:
        name = secrets.compare_digest(login.username.encode(), credentials.user.encode())
        password = secrets.compare_digest(login.password.encode(), credentials.password.encode())
        if not (name and password):
            raise HTTPException(401, "wrong user or password", {"WWW-Authenticate": "Basic"})

    private = [Depends(log_in)]

    @app.exception_handler(TaggerError)
    def model_failed(_request: Request, error: TaggerError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503)

    app.exception_handler(RequestValidationError)(refuse_request)

    @app.get("/")
    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "tagger"}

    @app.post("/setup", dependencies=private)
    def setup() -> dict[str, str]:
        return {"model_version": model().name}

    @app.post("/predict", dependencies=private)
    async def predict(content: _Content) -> dict[str, Any]:
        tasks = content.get("tasks")
        if not isinstance(tasks, list):
            raise HTTPException(422, "the field 'tasks' must be a list")
        results = await to_thread.run_sync(lambda: predict_tasks(tasks, model()), limiter=limiter)
        return {"results": results}

    @app.post("/webhook", dependencies=private)
    def webhook(content: _Content) -> dict[str, str]:
        if content.get("action") in _ACTIONS:
            notify()
        return {"status": "ok"}

    return app


def refuse_request(_request: Request, _error: Exception) -> JSONResponse:
    """Answer a request of another form. FastAPI would quote it, which may not be valid JSON."""
    return JSONResponse({"detail": "the request does not have the expected form"}, 422)


async def _reject_browsers_and_large_bodies(
    request: Request, answer: RequestResponseEndpoint
) -> Response:
    if "origin" in request.headers:
        return JSONResponse({"detail": "requests from web pages are not allowed"}, 403)
    length = request.headers.get("content-length", "0")
    chunked = "transfer-encoding" in request.headers
    if chunked or not length.isdecimal() or int(length) > _LARGEST_BODY:
        return JSONResponse({"detail": f"a request has at most {_LARGEST_BODY} bytes"}, 413)
    return await answer(request)


def predict_tasks(tasks: list[Any], model: TaggerModel) -> list[dict[str, Any]]:
    """Return a prediction per task, an empty one for blind, recheck and unreadable tasks."""
    papers: dict[int, Paper] = {}
    for index, task in enumerate(tasks):
        with suppress(TaskError, KeyError, TypeError, AttributeError):
            if task["data"].get("queue") not in (BLIND, "recheck"):
                papers[index] = read_paper(task["data"])
    to_tag = [*papers.values()]
    tagged = decide(to_tag, model.predict_proba(to_tag), model.taxonomy, model.name, model.rule())
    results = [{"result": [], "score": 0.0, "model_version": model.name} for _ in tasks]
    for index, paper in zip(papers, tagged, strict=True):
        results[index] = make_prediction(paper, model.taxonomy)
    return results


def connect_backend(project: ReviewProject, url: str, credentials: Credentials) -> None:
    """Register the backend and its webhook in a project, replacing those of an earlier run."""
    client = project.connection.client
    with project.connection.errors(f"project {project.id}"):
        hook = f"{url}/webhook"
        _disconnect(project, lambda address, _: address in (url, hook))
        client.webhooks.create(
            url=hook,
            project=project.id,
            headers={"Authorization": credentials.header},
            send_payload=True,
            send_for_all_actions=False,
            actions=_ACTIONS,
        )
        client.ml.create(
            project=project.id,
            url=url,
            title=credentials.title,
            description="Tags by the champion of tagger",
            auth_method="BASIC_AUTH",
            basic_auth_user=credentials.user,
            basic_auth_pass=credentials.password,
            timeout=100,
        )


def disconnect_backend(project: ReviewProject, credentials: Credentials) -> None:
    """Remove the backend and webhook that :func:`connect_backend` registered."""
    marks = (credentials.title, credentials.header)
    _disconnect(project, lambda _, mark: mark in marks)


def _disconnect(project: ReviewProject, ours: Callable[[str, str], bool]) -> None:
    """Remove backends and webhooks for which ``ours`` is true.

    It is called with the address, and the title of a backend or the login of a webhook.
    """
    client = project.connection.client
    with project.connection.errors(f"project {project.id}"):
        for backend in client.ml.list(project=project.id):
            if backend.id is not None and ours(backend.url, backend.title or ""):
                client.ml.delete(backend.id)
        for hook in client.webhooks.list(project=str(project.id)):
            mark = (hook.headers or {}).get("Authorization", "")
            if hook.id is not None and ours(hook.url, mark):
                client.webhooks.delete(hook.id)
