"""A proxy between a client and a real server that lets requests go wrong, as networks do."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = (
    "delay",  # the answer comes late
    "reset-before",  # the connection breaks before the server hears of the request
    "reset-during",  # the server hears a part of the request
    "reset-after",  # the server does what is asked, and the client does not hear of it
    "reset-answer",  # the client hears a part of the answer
    "429",  # too many requests, with Retry-After
    "500",
    "502",  # a page of HTML, as of a gateway
    "html",  # the same, said to be fine
    "truncated",  # half of the JSON
    "hollow",  # an object without any field
    "empty",  # a page with nothing on it
    "doubled",  # a page with each entry twice
    "shuffled",  # a page in another order
)
_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
_LISTS = ("results", "tasks", "model_versions", "registered_models", "runs", "files", "experiments")
_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding")
_LOCK = threading.Lock()
DELAY = 0.2
"""Seconds."""


@dataclass
class Exchange:
    """A request, and how it is to go wrong."""

    method: str
    path: str
    fault: str | None = None


Plan = Callable[[Exchange], str | None]


def no_faults(_):
    """Let everything pass."""


def once(fault, method, path, place=1, times=1):
    """Let the n-th request (and those that follow, up to ``times``) of a kind go wrong.

    ``path`` is a part of the address.
    """
    count = itertools.count(1)

    def plan(request):
        if request.method == method and path in request.path:
            return fault if place <= next(count) < place + times else None
        return None

    return plan


def by_chance(seed, share, most):
    """Let a share of the requests go wrong, at most so many, each in a way drawn by chance."""
    draw = random.Random(seed)
    left = most

    def plan(_):
        nonlocal left
        if left and draw.random() < share:
            left -= 1
            return draw.choice(FAULTS)
        return None

    return plan


class FaultProxy(ThreadingHTTPServer):
    """Listens on the loopback address and passes requests on to the server at ``upstream``.

    Each connection carries one request. With ``tls``, a certificate with its key, it speaks HTTPS.
    """

    daemon_threads = True

    def __init__(self, upstream, tls=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream.removeprefix("http://")
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}"
        self.use(no_faults)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def injected(self):
        """How many faults of each kind there were."""
        return Counter(exchange.fault for exchange in self.exchanges if exchange.fault)

    def use(self, plan):
        """Forget what was, and follow another plan."""
        self.exchanges = []
        self.plan = plan

    def handle_error(self, *_):
        """Say nothing."""

    @contextlib.contextmanager
    def running(self):
        """Serve in threads of its own while the block runs."""
        with self:
            threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
            try:
                yield self
            finally:
                self.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: FaultProxy

    def _pass_on(self):
        body = self._body()
        with _LOCK:
            exchange = Exchange(self.command, self.path)
            fault = exchange.fault = self.server.plan(exchange)
            self.server.exchanges.append(exchange)
        answer = self._answer(fault, body)
        if fault == "reset-answer":
            self.wfile.write(answer[: len(answer) // 2])
            # What was sent is heard before the break.
            time.sleep(0.02)
        elif answer:
            self.wfile.write(answer)
        if not answer or fault == "reset-answer":
            # With this option, closing resets the connection.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _pass_on  # noqa: N815

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, fault, body):
        """Return what the client hears; empty if nothing."""
        if fault == "reset-before":
            return b""
        if fault == "429":
            return _message(429, b'{"detail": "too many"}', "application/json", "Retry-After: 1")
        if fault == "500":
            return _message(500, b'{"detail": "went wrong"}', "application/json")
        if fault == "502":
            return _message(502, _GATEWAY, "text/html")
        if fault == "delay":
            time.sleep(DELAY)
        headers = {name: text for name, text in self.headers.items() if name.lower() not in _HOP}
        with contextlib.closing(HTTPConnection(self.server.upstream)) as upstream:
            if fault == "reset-during":
                missing = {"Content-Length": str(2 * len(body) + 1)}
                upstream.request(self.command, self.path, body, headers | missing)
                return b""
            upstream.request(self.command, self.path, body, headers | {"Connection": "close"})
            heard = upstream.getresponse()
            content, kind = heard.read(), heard.headers.get("Content-Type", "")
        if fault == "reset-after":
            return b""
        if fault == "html":
            return _message(200, _GATEWAY, "text/html")
        if "json" in kind and heard.status < 300:
            content = _spoil(content, fault)
        return _message(heard.status, content, kind)

    def log_message(self, *_):
        """Say nothing."""


def _message(status, content, kind, *headers):
    lines = [f"HTTP/1.1 {status} As It Is", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"Content-Type: {kind}"] if kind else []
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + content


def _spoil(content, fault):
    """Return other JSON, as the fault has it; what is no list stays as it is."""
    if fault == "truncated":
        return content[: len(content) // 2]
    if fault == "hollow":
        return b"{}"
    if fault not in ("empty", "doubled", "shuffled") or not content:
        return content

    def change(entries):
        if fault == "shuffled":
            return entries[::-1]
        return entries * 2 if fault == "doubled" else []

    parsed = json.loads(content)
    if isinstance(parsed, list):
        parsed = change(parsed)
    elif isinstance(parsed, dict):
        parsed |= {name: change(parsed[name]) for name in _LISTS if parsed.get(name)}
    return json.dumps(parsed).encode()
