"""The ML backend: Label Studio asks for tags when a task is opened, and tells of finished ones.

It speaks the protocol of https://labelstud.io/guide/ml_create: ``/health``, ``/setup``,
``/predict`` and ``/webhook``. Everything but ``/health`` needs the user name and password that
Label Studio is given when the backend is connected.
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
from tagger.review.tasks import UNAIDED, TaskError, make_prediction, read_paper

LOOPBACK = ("127.0.0.1", "localhost")
USER = "tagger"
_LARGEST_BODY = 16 * 2**20
_ACTIONS = ["ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"]
_Content = Annotated[dict[str, Any], Body()]
_Login = Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]


@dataclass(frozen=True)
class Credentials:
    """What Label Studio must show to be let in; a new password each time."""

    user: str = USER
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def title(self) -> str:
        """What the backend is called in Label Studio; no two runs are called the same."""
        return f"tagger {hashlib.sha256(self.password.encode()).hexdigest()[:8]}"

    @property
    def header(self) -> str:
        """The value of the ``Authorization`` header (RFC 7617)."""
        pair = f"{self.user}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


class PullWorker:
    """Pulls in the background when annotations are finished, and trains after every so many.

    ``train`` returns when the training has ended; ``train_after`` 0 means never. ``report`` is
    called with what happened, in words.
    """

    def __init__(
        self,
        pull: Callable[[], PullReport],
        train: Callable[[], None],
        train_after: int,
        report: Callable[[str], None],
    ) -> None:
        self._pull, self._train = pull, train
        self._train_after, self._report = train_after, report
        self._wanted = threading.Event()
        self._ended = False
        self._since_training = 0
        self._training: threading.Thread | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def wake(self) -> None:
        """Ask for a pull; several calls in a row make one."""
        self._wanted.set()

    def stop(self) -> None:
        """End after the pull at hand."""
        self._ended = True
        self._wanted.set()
        self._thread.join()

    def _work(self) -> None:
        while self._wanted.wait() and not self._ended:
            self._wanted.clear()
            try:
                pulled = self._pull()
            except Exception as error:  # whatever happens, the next annotation is listened to
                self._report(f"error: {error}")
                continue
            self._report(f"Pulled {pulled.new} new, {pulled.changed} changed")
            self._since_training += pulled.new + pulled.changed
            due = 0 < self._train_after <= self._since_training
            if due and not (self._training and self._training.is_alive()):
                self._report(f"Training on {self._since_training} new annotations")
                self._since_training = 0
                self._training = threading.Thread(target=self._train, daemon=True)
                self._training.start()


def make_backend(
    model: Callable[[], TaggerModel],
    credentials: Credentials,
    finished: Callable[[], None],
    hosts: Sequence[str] = LOOPBACK,
) -> FastAPI:
    """Make the web application.

    ``model`` is called at each request, ``finished`` when Label Studio tells of annotations;
    ``hosts`` are the names that the server may be called by.
    """
    # More at once would only get in each other's way; the others wait in the order of coming.
    turns = CapacityLimiter(os.cpu_count() or 1)
    app = FastAPI(title="tagger", docs_url=None, redoc_url=None, openapi_url=None)

    def log_in(given: _Login) -> None:
        name = secrets.compare_digest(given.username.encode(), credentials.user.encode())
        password = secrets.compare_digest(given.password.encode(), credentials.password.encode())
        if not (name and password):
            raise HTTPException(401, "wrong user or password", {"WWW-Authenticate": "Basic"})

    private = [Depends(log_in)]

    @app.middleware("http")
    async def check(request: Request, answer: RequestResponseEndpoint) -> Response:
        if "origin" in request.headers:
            return JSONResponse({"detail": "no web page may ask this server"}, 403)
        length = request.headers.get("content-length", "0")
        in_parts = "transfer-encoding" in request.headers
        if in_parts or not length.isdecimal() or int(length) > _LARGEST_BODY:
            return JSONResponse({"detail": f"a request has at most {_LARGEST_BODY} bytes"}, 413)
        return await answer(request)

    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*hosts], www_redirect=False)

    @app.exception_handler(TaggerError)
    def unusable(_request: Request, error: TaggerError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503)

    @app.exception_handler(RequestValidationError)
    def unreadable(_request: Request, _error: RequestValidationError) -> JSONResponse:
        # FastAPI's own answer quotes the request, and not all of it can be written as JSON.
        return JSONResponse({"detail": "the request must be a JSON object"}, 422)

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
        results = await to_thread.run_sync(lambda: predict_tasks(tasks, model()), limiter=turns)
        return {"results": results}

    @app.post("/webhook", dependencies=private)
    def webhook(content: _Content) -> dict[str, str]:
        if content.get("action") in _ACTIONS:
            finished()
        return {"status": "ok"}

    return app


def predict_tasks(tasks: list[Any], model: TaggerModel) -> list[dict[str, Any]]:
    """Predict tasks; nothing for those that are none of ours, or for a person to tag unaided."""
    papers: dict[int, Paper] = {}
    for place, task in enumerate(tasks):
        with suppress(TaskError, KeyError, TypeError, AttributeError):
            if task["data"].get("queue") not in UNAIDED:
                papers[place] = read_paper(task["data"])
    given = [*papers.values()]
    tagged = decide(given, model.predict_proba(given), model.taxonomy, model.name, model.rule())
    results = [{"result": [], "score": 0.0, "model_version": model.name} for _ in tasks]
    for place, one in zip(papers, tagged, strict=True):
        results[place] = make_prediction(one, model.taxonomy)
    return results


def connect_backend(project: ReviewProject, url: str, credentials: Credentials) -> None:
    """Tell Label Studio where to ask for tags and tell of annotations; an earlier run's goes."""
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
            description="The champion of tagger",
            auth_method="BASIC_AUTH",
            basic_auth_user=credentials.user,
            basic_auth_pass=credentials.password,
            timeout=100,
        )


def disconnect_backend(project: ReviewProject, credentials: Credentials) -> None:
    """Take out the connections that :func:`connect_backend` made with these credentials."""
    marks = (credentials.title, credentials.header)
    _disconnect(project, lambda _, mark: mark in marks)


def _disconnect(project: ReviewProject, ours: Callable[[str, str], bool]) -> None:
    """Take out the connections whose address, and title or password, are ours."""
    client = project.connection.client
    with project.connection.errors(f"project {project.id}"):
        for backend in client.ml.list(project=project.id):
            if backend.id is not None and ours(backend.url, backend.title or ""):
                client.ml.delete(backend.id)
        for hook in client.webhooks.list(project=str(project.id)):
            mark = (hook.headers or {}).get("Authorization", "")
            if hook.id is not None and ours(hook.url, mark):
                client.webhooks.delete(hook.id)
