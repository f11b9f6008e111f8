"""A stand-in for Label Studio that answers at once: what tagger asks of its API, kept in memory.

It holds projects, tasks with predictions and annotations, and tabs, does all of a request or
nothing, as the real one does, and lets its whole state be read and replaced:

    python experiments/fake_label_studio.py 8300
"""

from __future__ import annotations

import copy
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

State = dict[str, Any]
EMPTY: State = {"projects": {}, "tasks": {}, "views": {}, "made": 0}
STATE = "/state"
"""Where the whole state is read and replaced; it has no such place in the real one."""
MADE = "2026-01-01T00:00:00Z"
USER = {"id": 1, "email": "ann@example.org", "username": "ann"}


class FakeLabelStudio(ThreadingHTTPServer):
    """The server; listens on the loopback address."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of whoever was killed while it asked."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.state = copy.deepcopy(EMPTY)
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def running(self) -> Iterator[FakeLabelStudio]:
        """Serve in a thread."""
        with self:
            threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
            yield self
            self.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeLabelStudio

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        with self.server.lock:
            if parts.path == STATE:
                if self.command == "PUT":
                    self.server.state = body or {}
                status, content = 200, self.server.state
            else:
                status, content = _serve(self.server.state, self.command, parts.path, query, body)
            data = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def _serve(
    state: State, method: str, path: str, query: dict[str, str], body: Any
) -> tuple[int, Any]:
    """Answer a request, with status and content."""
    projects, tasks, views = state["projects"], state["tasks"], state["views"]
    asked = f"{method} {re.sub('[0-9]+', 'N', path).rstrip('/')}"
    number = (re.findall("[0-9]+", path) or ["0"])[0]
    project = projects.get(number)
    if asked == "GET /api/current-user/whoami":
        return 200, USER
    if asked == "GET /api/users":
        return 200, [USER]
    if asked == "GET /api/projects":
        found = [*projects.values()] if query.get("page", "1") == "1" else []
        return 200, {"count": len(projects), "next": None, "previous": None, "results": found}
    if asked == "POST /api/projects":
        name = _new(state)
        projects[name] = {**body, "id": int(name), "created_at": MADE, "task_number": 0}
        return 201, projects[name]
    if asked == "GET /api/tasks":
        own = [task for task in tasks.values() if str(task["project"]) == query["project"]]
        if "query" in query:
            [by_id] = json.loads(query["query"])["filters"]["items"]
            low, high = by_id["value"]["min"], by_id["value"]["max"]
            own = [task for task in own if low <= task["id"] <= high]
        start = (int(query.get("page", 1)) - 1) * int(query["page_size"])
        page = own[start : start + int(query["page_size"])]
        totals = {"total": len(own), "total_annotations": 0, "total_predictions": 0}
        return 200, {"tasks": [_listed(task) for task in page], **totals}
    if asked == "PATCH /api/tasks/N":
        tasks[number].update(body)
        return 200, _listed(tasks[number])
    if asked == "GET /api/dm/views":
        return 200, [view for view in views.values() if str(view["project"]) == query["project"]]
    if asked == "POST /api/dm/views":
        name = _new(state)
        views[name] = {**body, "id": int(name)}
        return 201, views[name]
    if asked == "DELETE /api/dm/views/N":
        del views[number]
        return 204, None
    if asked == "POST /api/dm/actions":
        chosen = [*map(str, body.get("selectedItems", body)["included"])]
        for name in filter(tasks.__contains__, chosen):
            if query["id"] == "delete_tasks":
                projects[str(tasks.pop(name)["project"])]["task_number"] -= 1
            else:
                tasks[name]["predictions"] = []
        return 200, {"processed_items": 0}
    if project is None:
        return 404, {"detail": f"nothing at {asked}"}
    if asked == "GET /api/projects/N":
        return 200, project
    if asked == "PATCH /api/projects/N":
        project.update(body)
        return 200, project
    if asked == "DELETE /api/projects/N":
        return 204, projects.pop(number) and None
    if asked == "POST /api/projects/N/import":
        for task in body:
            name = _new(state)
            tasks[name] = {"annotations": [], **task, "id": int(name), "project": int(number)}
        project["task_number"] += len(body)
        return 201, {"task_count": len(body)}
    if asked == "POST /api/projects/N/import/predictions":
        for prediction in body:
            tasks[str(prediction.pop("task"))]["predictions"].append(prediction)
        return 201, {"created": len(body)}
    if asked == "GET /api/projects/N/export":
        own = [task for task in tasks.values() if str(task["project"]) == number]
        return 200, [task for task in own if task["annotations"]]
    return 404, {"detail": f"nothing at {asked}"}


def _listed(task: dict[str, Any]) -> dict[str, Any]:
    cancelled = sum(annotation["was_cancelled"] for annotation in task["annotations"])
    counts = {"total_annotations": len(task["annotations"]) - cancelled, "drafts": []}
    return {**task, **counts, "cancelled_annotations": cancelled}


def _new(state: State) -> str:
    """Return a number that nothing has had yet."""
    state["made"] += 1
    return str(state["made"])


if __name__ == "__main__":
    FakeLabelStudio(int(sys.argv[1])).serve_forever()
