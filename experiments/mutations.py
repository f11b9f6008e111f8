"""Ways to spoil an input: bytes at random, and changes that know JSON, markup and archives.

Every change is drawn from a :class:`random.Random`, so that a seed gives the same inputs again.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

LARGEST = 64 * 1024
"""Bytes that a repeated part may make of an input."""

HOSTILE_TEXTS = (
    "\x1b]52;c;cm0gLXJm\x07",
    "\x1b]8;;http://evil.invalid\x1b\\x\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[1;31m",
    "\x9b31m",
    "\x00",
    "\u202eevil\u2066",
    "\ud800",
    "\udfff\ud800",
    "\ufeff",
    "\U000e0041",
    "\u2028",
    "ａdmin",
    "а",  # Cyrillic
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "]]><!--",
    "&lol9;",
    "&#0;&#x1b;&#55296;",
    "=cmd|' /C calc'!A0",
    "../../../../etc/passwd",
    "/etc/passwd",
    "{{ 7 * 7 }}",
    "${jndi:ldap://x}",
    "%s%n",
    "1" * 5000,
    "1e999",
    "-1",
    "NaN",
    "9" * 30,
    "\\input{/etc/passwd}",
    "$" * 9,
    "doi:10.1234/\u202e",
)
TOKENS = (
    *(text.encode("utf-8", "surrogatepass") for text in HOSTILE_TEXTS),
    *(b"\xff\xfe", b"\xfe\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\r", b"\n\n", b"\t"),
    *(bytes([code]) for code in b"\"'{}[]()<>&@#\\%=,;|-"),
    b"--",
    b"<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>",
    b"<!ENTITY x SYSTEM 'file:///etc/passwd'>",
)
WRONG_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1e308,
    float("nan"),
    10**30,
    "",
    [],
    {},
    [[]],
    [None],
    {"": None},
    *HOSTILE_TEXTS[:12],
)


def spoil(random_: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """Return the content after one to four changes of its bytes."""
    for _ in range(random_.choice((1, 1, 1, 2, 3, 4))):
        content = random_.choice(_CHANGES)(random_, content, others)
    return content


def spoil_json(random_: random.Random, value: Any) -> Any:
    """Return JSON data with one to three of its values replaced, dropped, or doubled."""
    value = json.loads(json.dumps(value))
    for _ in range(random_.choice((1, 1, 2, 3))):
        value = _replaced(random_, value)
    return value


def spoil_archive(random_: random.Random, members: dict[str, bytes]) -> bytes:
    """Return a zip archive with a member spoiled, missing, swollen, or badly named."""
    members = dict(members)
    name = random_.choice(list(members))
    kind = random_.randrange(8)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[random_.choice(("../../evil.xml", "/tmp/evil", "xl/\x00x", "C:\\evil"))] = b"x"
    elif kind == 2:
        members[name] += b" " * random_.choice((10**4, 10**6))
    else:
        members[name] = spoil(random_, members[name], list(members.values()))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_DEFLATED)
    packed = file.getvalue()
    return spoil(random_, packed, ()) if random_.random() < 0.2 else packed


def _replaced(random_: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and random_.random() < 0.85:
        key = random_.choice(list(value))
        kind = random_.randrange(12)
        if kind == 0:
            return {name: part for name, part in value.items() if name != key}
        if kind == 1:
            return {**value, random_.choice(HOSTILE_TEXTS): value[key]}
        return {**value, key: _replaced(random_, value[key])}
    if isinstance(value, list) and value and random_.random() < 0.85:
        place = random_.randrange(len(value))
        kind = random_.randrange(12)
        if kind == 0:
            return value[:place] + value[place + 1 :]
        if kind == 1:
            return value * random_.choice((2, 50))
        return [*value[:place], _replaced(random_, value[place]), *value[place + 1 :]]
    if isinstance(value, str) and random_.random() < 0.5:
        place = random_.randrange(len(value) + 1)
        return value[:place] + random_.choice(HOSTILE_TEXTS) + value[place:]
    if random_.random() < 0.05:
        return _nested(random_.choice((5, 100, 900)))
    return random_.choice(WRONG_VALUES)


def _nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def _span(random_: random.Random, content: bytes) -> tuple[int, int]:
    start = random_.randrange(len(content) + 1)
    return start, min(len(content), start + random_.choice((1, 2, 4, 8, 16, 64, 256)))


def _flip(random_: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    spoiled = bytearray(content)
    for _time in range(random_.choice((1, 1, 2, 8)) if spoiled else 0):
        spoiled[random_.randrange(len(spoiled))] = random_.randrange(256)
    return bytes(spoiled)


def _insert(random_: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    place = random_.randrange(len(content) + 1)
    return content[:place] + random_.choice(TOKENS) + content[place:]


def _overwrite(random_: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(random_, content)
    return content[:start] + random_.choice(TOKENS) + content[end:]


def _delete(random_: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(random_, content)
    return content[:start] + content[end:]


def _cut(random_: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    return content[: random_.randrange(len(content) + 1)]


def _double(random_: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(random_, content)
    return content[:end] + content[start:end] + content[end:]


def _repeat(random_: random.Random, content: bytes, _: Sequence[bytes]) -> bytes:
    """Repeat a part: what costs more than its length shows when there is much of it."""
    start, end = _span(random_, content)
    part = random_.choice((content[start:end], random_.choice(TOKENS))) or b"["
    times = random_.choice((3, 30, 300, 300, LARGEST // len(part)))
    if random_.random() < 0.9:
        times = min(times, 4096 // len(part) + 2)
    return content[:start] + part * times + content[end:]


def _splice(random_: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    other = random_.choice(others) if others else content
    start, end = _span(random_, other)
    place = random_.randrange(len(content) + 1)
    return content[:place] + other[start : max(end, start + 40)] + content[place:]


_CHANGES: tuple[Callable[[random.Random, bytes, Sequence[bytes]], bytes], ...] = (
    _flip,
    _flip,
    _insert,
    _insert,
    _overwrite,
    _delete,
    _cut,
    _double,
    _repeat,
    _splice,
)
