"""A proxy between a client and a real server that lets requests go wrong, as networks do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

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
DELAY = 0.2
"""Seconds."""


@dataclass(frozen=True)
class Request:
    """A request on its way to the server, and its place among all of them, from 1."""

    place: int
    method: str
    path: str


@dataclass
class Exchange:
    """What became of a request; ``status`` is that of the server, None if it was not asked."""

    request: Request
    fault: str | None
    status: int | None = None


Plan = Callable[[Request], str | None]


def no_faults(_: Request) -> None:
    """Let everything pass."""


def once(fault: str, method: str, path: str, place: int = 1, times: int = 1) -> Plan:
    """Let the n-th request (and those that follow, up to ``times``) of a kind go wrong.

    ``path`` is a part of the address.
    """
    seen = 0

    def plan(request: Request) -> str | None:
        nonlocal seen
        if request.method == method and path in request.path:
            seen += 1
            return fault if place <= seen < place + times else None
        return None

    return plan


def by_chance(seed: int, share: float, most: int, faults: tuple[str, ...] = FAULTS) -> Plan:
    """Let a share of the requests go wrong, at most so many, each in a way drawn by chance."""
    draw = random.Random(seed)
    left = most

    def plan(_: Request) -> str | None:
        nonlocal left
        if left and draw.random() < share:
            left -= 1
            return draw.choice(faults)
        return None

    return plan


@dataclass
class FaultProxy:
    """Listens on the loopback address and passes requests on to a server there.

    Each connection carries one request. With ``tls`` it speaks HTTPS to the client.
    """

    upstream: int
    plan: Plan = no_faults
    tls: ssl.SSLContext | None = None
    exchanges: list[Exchange] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def injected(self) -> Counter[str]:
        """How many faults of each kind there were."""
        return Counter(exchange.fault for exchange in self.exchanges if exchange.fault)

    def use(self, plan: Plan) -> None:
        """Forget what was, and follow another plan."""
        self.exchanges.clear()
        self.plan = plan

    @contextlib.contextmanager
    def running(self) -> Iterator[FaultProxy]:
        """Serve in a thread of its own while the block runs."""
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        )
        self.port = server.sockets[0].getsockname()[1]
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head, body = await _read_message(client)
            method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
            request = Request(len(self.exchanges) + 1, method, path)
            exchange = Exchange(request, self.plan(request))
            self.exchanges.append(exchange)
            answer = await self._answer(exchange, head, body)
            if answer is None:
                _break(back)
                return
            if exchange.fault == "reset-answer":
                back.write(answer[: len(answer) // 2])
                await back.drain()
                # What was sent is heard before the break.
                await asyncio.sleep(0.02)
                _break(back)
                return
            back.write(answer)
            await back.drain()
        back.close()

    async def _answer(self, exchange: Exchange, head: bytes, body: bytes) -> bytes | None:
        """Return what the client hears; None if nothing."""
        fault = exchange.fault
        if fault == "reset-before":
            return None
        if fault == "429":
            return _message(429, b'{"detail": "too many"}', "application/json", "Retry-After: 1")
        if fault == "500":
            return _message(500, b'{"detail": "went wrong"}', "application/json")
        if fault == "502":
            return _message(502, _GATEWAY, "text/html")
        if fault == "reset-during":
            await self._send_a_part(head, body)
            return None
        if fault == "delay":
            await asyncio.sleep(DELAY)
        status, kind, content = await self._ask(head, body)
        exchange.status = status
        if fault == "reset-after":
            return None
        if fault == "html":
            return _message(200, _GATEWAY, "text/html")
        if fault in ("truncated", "hollow", "empty", "doubled", "shuffled") and status < 300:
            content = _spoil(content, kind, fault)
        return _message(status, content, kind)

    async def _ask(self, head: bytes, body: bytes) -> tuple[int, str, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream, limit=2**26)
        try:
            writer.write(_for_server(head, body) + body)
            await writer.drain()
            answer_head, content = await _read_message(reader, answer=True)
        finally:
            writer.close()
        lines = answer_head.decode("latin-1").split("\r\n")
        return int(lines[0].split(" ")[1]), _header(lines, "content-type") or "", content

    async def _send_a_part(self, head: bytes, body: bytes) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        whole = _for_server(head, body) + body
        writer.write(whole[: len(whole) // 2])
        await writer.drain()
        writer.close()


async def _read_message(
    reader: asyncio.StreamReader, *, answer: bool = False
) -> tuple[bytes, bytes]:
    """Read head and body of a request, or of an answer after which the connection ends."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    length = _header(lines, "content-length")
    if "chunked" in (_header(lines, "transfer-encoding") or "").lower():
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
    elif length is not None:
        body = await reader.readexactly(int(length))
    else:
        body = await reader.read() if answer else b""
    return head, body


def _header(lines: list[str], name: str) -> str | None:
    for line in lines[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name:
            return value.strip()
    return None


def _for_server(head: bytes, body: bytes) -> bytes:
    """Return the head of a request that asks for one plain answer."""
    hop = ("connection:", "keep-alive:", "transfer-encoding:", "content-length:", "accept-encoding")
    lines = head.decode("latin-1").split("\r\n")
    kept = [line for line in lines if line and not line.lower().startswith(hop)]
    kept += ["Connection: close", f"Content-Length: {len(body)}"]
    return "\r\n".join([*kept, "", ""]).encode("latin-1")


def _message(status: int, content: bytes, kind: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} As It Is", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"Content-Type: {kind}"] if kind else []
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + content


def _spoil(content: bytes, kind: str, fault: str) -> bytes:
    """Return another content of the same kind; what is no list stays as it is."""
    if "json" not in kind:
        return content
    if fault == "truncated":
        return content[: len(content) // 2]
    if fault == "hollow":
        return b"{}"
    change: dict[str, Callable[[list[Any]], list[Any]]] = {
        "empty": lambda _: [],
        "doubled": lambda entries: entries * 2,
        "shuffled": lambda entries: entries[::-1],
    }
    try:
        parsed: Any = json.loads(content)
    except ValueError:
        return content
    if isinstance(parsed, list):
        parsed = change[fault](parsed)
    elif isinstance(parsed, dict):
        lists = [name for name in _LISTS if isinstance(parsed.get(name), list)]
        parsed |= {name: change[fault](parsed[name]) for name in lists}
    return json.dumps(parsed).encode()


def _break(writer: asyncio.StreamWriter) -> None:
    """Reset the connection rather than close it in good order."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
