"""Fetch files and feeds from the web. Nothing is requested unless a user gives its address."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from string import punctuation
from typing import Any
from urllib.parse import quote, urlsplit

from tagger import __version__
from tagger.errors import TaggerError, first_line

SECONDS = 60  # for an address, with all its redirects
BYTES = 64 * 2**20
_HINT = "Download it yourself, and name the file"


def is_address(place: str) -> bool:
    return place.lower().startswith(("http://", "https://"))


def name_of(address: str) -> str:
    """Return a name for what is fetched: the address without query, in letters for a file name."""
    place = re.split(r"[?#]", address)[0].partition("://")[2].rstrip("/")
    return re.sub(r"[^\w.-]+", "_", place)[-100:]


def fetch(address: str) -> bytes:
    """Return what a server sends: at most :data:`BYTES`, within :data:`SECONDS`.

    Raises a TaggerError if nothing arrives in time, or what arrives is an error, too large or
    incomplete, or redirects often or to anything but an address of the web.
    """
    found, end = list[bytes | Exception](), time.monotonic() + SECONDS

    def work() -> None:
        try:
            found.append(_fetch(address, end))
        except Exception as error:
            found.append(error)

    # Looking up a name and reading a header have no time limit of their own.
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(SECONDS + 1)
    content = found[0] if found else TimeoutError()
    if isinstance(content, bytes):
        return content
    error = getattr(content, "reason", content)  # that of a URLError is another exception
    if isinstance(error, TaggerError):
        raise error
    is_late = isinstance(error, TimeoutError)
    reason = first_line(error if isinstance(error, Exception) else content)
    problem = f"did not arrive within {SECONDS} seconds" if is_late else f"not read: {reason}"
    raise TaggerError(problem, hint=_HINT if is_late else "Check the address") from content


def _fetch(address: str, end: float) -> bytes:
    if "@" in urlsplit(address).netloc:
        raise TaggerError("addresses with a user name or password are not read", hint=_HINT)
    agent = {"User-Agent": f"tagger/{__version__}"}
    request = urllib.request.Request(quote(address, punctuation), headers=agent)
    content = bytearray()
    with urllib.request.build_opener(_Redirects).open(request, timeout=SECONDS) as answer:
        size = answer.length or 0
        while max(size, len(content)) <= BYTES and (chunk := answer.read1(2**16)):
            content += chunk
            if time.monotonic() > end:
                raise TimeoutError
    if max(size, len(content)) > BYTES:
        raise TaggerError(f"is larger than {BYTES // 2**20} MB", hint=_HINT)
    if len(content) < size:
        raise TaggerError(f"is incomplete: {len(content)} of {size} bytes arrived")
    return bytes(content)


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = 5
    inf_msg = "redirects without end; the last time: "

    def redirect_request(self, req: Any, fp: Any, *more: Any) -> urllib.request.Request | None:
        if not is_address(more[-1]):
            raise TaggerError("redirects to something that is not an address of the web")
        fp.close()  # its text may be without end
        return super().redirect_request(req, fp, *more)
