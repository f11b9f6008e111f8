"""Who and what is let through to a small web server: passwords, origins, sizes, rates.

What is refused is not even read: a page in a browser on this machine that sends requests to it
(they have an ``Origin``), whoever does not know the password, and floods.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from secrets import compare_digest

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server puts up with.

    Parameters
    ----------
    hosts:
        By which names it may be called; ``*`` for any.
    body:
        Of a request, in bytes.
    rate, burst:
        Requests in a second in the long run, and at once.
    refusals:
        Wrong passwords in a second that get an answer of their own.
    """

    hosts: tuple[str, ...] = LOOPBACK
    body: int = 16 * 2**20
    rate: float = 1000
    burst: float = 2000
    refusals: float = 10


class TokenBucket:
    """Lets so many through in a second, and some more at once after a pause.

    Parameters
    ----------
    rate:
        In a second.
    burst:
        At once.
    clock:
        Tells the seconds.
    """

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left, self._then = burst, clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Tell whether another one is let through."""
        with self._lock:
            now = self._clock()
            self._left = min(self._burst, self._left + (now - self._then) * self._rate)
            self._then = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Guard:
    """ASGI middleware that lets nobody in but who may be, and what is within limits.

    Parameters
    ----------
    app:
        What is guarded.
    limits:
        The limits; hosts are seen to by starlette's ``TrustedHostMiddleware``.
    authorization:
        What the header of that name must be.
    open_paths:
        What anybody may ask for.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, authorization: str, open_paths: Collection[str]
    ) -> None:
        self._app = app
        self._body = limits.body
        self._authorization = authorization.encode()
        self._open_paths = open_paths
        self._requests = TokenBucket(limits.rate, limits.burst)
        self._refusals = TokenBucket(limits.refusals, limits.refusals)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refuse(scope["path"], Headers(scope=scope))
        if refusal:
            await refusal(scope, receive, send)
            return
        left = self._body

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                # More comes than was said.
                raise HTTPException(413, self._too_long)
            return message

        await self._app(scope, counted, send)

    def _refuse(self, path: str, headers: Headers) -> JSONResponse | None:
        later = {"Retry-After": "1"}
        if "origin" in headers:
            return _refusal(403, "no web page may ask this server")
        given = headers.get("authorization", "").encode()
        if path not in self._open_paths and not compare_digest(given, self._authorization):
            # Apart from the rest: whoever knows the password is let in however many others guess.
            if not self._refusals.take():
                return _refusal(429, "too many wrong passwords", later)
            return _refusal(401, "wrong user or password", {"WWW-Authenticate": "Basic"})
        if not self._requests.take():
            return _refusal(429, "too many requests", later)
        said = headers.get("content-length", "0")
        if not said.isdecimal() or int(said) > self._body:
            return _refusal(413, self._too_long)
        return None

    @property
    def _too_long(self) -> str:
        return f"a request has at most {self._body} bytes"


def _refusal(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
