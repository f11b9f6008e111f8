"""An HTTP client that asks again where a server does not answer, and where asking twice is safe.

A request is repeated, with growing pauses and at most so long as ``Retry-After`` says, if doing it
twice comes to the same as doing it once, or if it was certainly not done: no connection came
about, or the server says that it had no time for it. All others fail at once, for whoever knows
what they were to bring about.
"""

from __future__ import annotations

import math
import ssl
import time
from typing import Any

import httpx
from urllib3.exceptions import InvalidHeader, MaxRetryError
from urllib3.util import Retry

_LONGEST_WAIT = 60
"""Seconds; a server that asks for a longer pause is told of instead."""
_OVERLOADED = (429, 503)
_TRANSIENT = (*_OVERLOADED, 500, 502, 504)
_REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
_REPEATABLE_POSTS = ("/api/dm/actions", "/api/token/refresh")
"""Paths of Label Studio: deleting what is named, and exchanging a token."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError, *_NOT_SENT)


class RetryingClient(httpx.Client):
    """A client that repeats requests which fail for reasons that pass.

    Parameters
    ----------
    retries:
        How often at most.
    pause:
        Before the second repetition, in seconds, and up to as much again by chance; each further
        one waits twice as long. The first waits for nothing.
    options:
        As for :class:`httpx.Client`.
    """

    def __init__(self, retries: int = 3, pause: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self._policy = Retry(
            retries,
            backoff_factor=pause / 2,
            backoff_jitter=pause,
            retry_after_max=2 * _LONGEST_WAIT,
        )

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request, and again if it fails for a reason that passes.

        The body of the answer has been read when it is returned.

        Raises
        ------
        httpx.TransportError
            If the server does not answer.
        """
        policy = self._policy
        repeatable = _is_repeatable(request)
        while True:
            try:
                response = super().send(request, **options)
                # A connection that breaks in the middle of the answer is asked again, too.
                response.read()
            except httpx.TransportError as error:
                passes = isinstance(error, _BROKEN if repeatable else _NOT_SENT)
                if not passes or is_about_certificate(error):
                    raise
                wait = 0.0
                failure: httpx.TransportError | None = error
            else:
                if response.status_code not in (_TRANSIENT if repeatable else _OVERLOADED):
                    return response
                wait = _retry_after(policy, response)
                failure = None
            try:
                policy = policy.increment(request.method)
            except MaxRetryError:
                wait = math.inf
            wait = max(wait, policy.get_backoff_time())
            if wait > _LONGEST_WAIT:
                if failure:
                    raise failure
                return response
            time.sleep(wait)


def is_about_certificate(error: BaseException) -> bool:
    """Tell whether a request failed because the server could not prove who it is."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _is_repeatable(request: httpx.Request) -> bool:
    if request.method == "POST":
        return request.url.path.rstrip("/").endswith(_REPEATABLE_POSTS)
    return request.method in _REPEATABLE_METHODS


def _retry_after(policy: Retry, response: httpx.Response) -> float:
    """Return how many seconds the server asks to wait."""
    try:
        return policy.parse_retry_after(response.headers.get("Retry-After", "0"))
    except InvalidHeader:
        return 0.0
