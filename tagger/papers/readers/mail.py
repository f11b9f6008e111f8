"""Reader for e-mails (``.eml``) and mailboxes (mbox) with digests, alerts and listings."""

from __future__ import annotations

import email
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from email.policy import EmailPolicy, Policy
from itertools import count
from typing import Any

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers import arxiv_listing, nep, pubmed_text
from tagger.papers.readers.blocks import blocks_of
from tagger.papers.readers.digest import is_page, papers_of
from tagger.papers.readers.html import papers_of_markup
from tagger.papers.readers.records import Notice, day_of
from tagger.papers.readers.source import Source, check_encoding, parsing

_FIELD = re.compile(r"([!-9;-~]+):(?: |$)")
_MAIL_FIELDS = {"date", "message-id", "mime-version", "received", "content-type", "return-path"}
"""The header of an e-mail has at least one of these fields and the sender."""
_MAILBOX = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From \S[^\n]*\d{4}[^\n]*\r?\n(?=[!-9;-~]+:)")
_Record = Paper | TaggerError | Notice
_MAX_FIELD = 500
"""Characters of a header field that are parsed; the parser's time grows faster than the length."""
_MAX_PARTS = 100
_SIGNATURE = re.compile(r"^-- $", re.MULTILINE)


def recognise(source: Source) -> bool:
    """Recognise an e-mail, or a mailbox, by its header: a sender and, for example, a date."""
    names = set()
    for number, line in enumerate(source.head.splitlines()):
        if not line.strip():
            break
        field = _FIELD.match(line)
        if field:
            names.add(field[1].lower())
        elif not line.startswith((" ", "\t")) and not (number == 0 and line.startswith("From ")):
            return False
    return "from" in names and bool(names & _MAIL_FIELDS)


def read(source: Source) -> Iterator[_Record]:
    """Yield the papers of each e-mail: of its plain text, or else of its HTML.

    In a mailbox, an e-mail without papers gives an error with its first line.
    """
    content = source.data
    starts = [found.start() for found in _MAILBOX.finditer(content)] or [0]
    ends = [*starts[1:], len(content)]
    for start, end in zip(starts, ends, strict=True):
        line = content.count(b"\n", 0, start) + 1
        try:
            with parsing("an e-mail"):
                # Any, because the type stubs do not accept a message_factory here.
                policy: Any = _ShortFieldPolicy(message_factory=_limited_parts())
                message: Any = email.message_from_bytes(content[start:end], policy=policy)
                records = _papers(message, source)
                day = day_of(str(message["Date"]))
        except TaggerError as error:
            if len(starts) == 1:
                raise
            yield TaggerError(error.problem, line=line, hint=error.hint)
            continue
        for record in records:
            if isinstance(record, TaggerError):
                record.line = line if len(starts) > 1 else None
            yield replace(record, day=day) if isinstance(record, Paper) else record


class _ShortFieldPolicy(EmailPolicy):
    """A policy that parses only the beginning of each header field."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        return super().header_fetch_parse(name, value[:_MAX_FIELD])


def _limited_parts() -> Callable[..., EmailMessage]:
    """Return a message factory that raises an error if an e-mail has too many parts."""
    numbers = count(1)

    def make(policy: Policy) -> EmailMessage:
        if next(numbers) > _MAX_PARTS:
            raise TaggerError(f"the e-mail has more than {_MAX_PARTS} parts")
        return EmailMessage(policy)

    return make


def _papers(message: EmailMessage, source: Source) -> list[_Record]:
    """Return the papers of a message and of those attached to it.

    A message that cannot be decoded gives an error, one without papers gives nothing. Raises a
    TaggerError if that is so of all of them.
    """
    # All levels: a message may be attached to an attached one.
    attached = [part.get_content() for part in message.walk() if _is_attached(part)]
    records, refused = list[_Record](), list[TaggerError]()
    for each in (*attached, message):
        try:
            with parsing("an e-mail"):
                records += _papers_of_text(each, source)
        except TaggerError as error:
            refused.append(error)
    if refused and all(isinstance(record, Notice) for record in records):
        raise refused[0]
    # Only an error of a parsing library has a cause.
    return [*records, *(error for error in refused if error.__cause__)]


def _is_attached(part: Any) -> bool:
    return bool(part.get_content_type() == "message/rfc822")


def _papers_of_text(message: EmailMessage, source: Source) -> Iterator[_Record]:
    """Yield the papers of the text of a message; raise a TaggerError if it should have some."""
    has_attached = any(map(_is_attached, message.walk()))
    texts = {
        kind: text
        for kind in ("plain", "html")
        if (part := message.get_body((kind,))) and (text := _text(part)).strip()
    }
    if not texts and not has_attached:
        raise TaggerError("the e-mail contains no text", hint="Save it again with its text")
    if plain := texts.get("plain"):
        text = plain.replace("\r\n", "\n")
        body = replace(source, content=text.encode("utf-8", "replace"))
        for reader in (arxiv_listing, pubmed_text, nep):
            if reader.recognise(body):
                yield from reader.read(body)
                return
        text = _SIGNATURE.split(text)[0]
        # Without line numbers: those of the decoded text differ from those of the file.
        blocks = [block._replace(line=None) for block in blocks_of(text)]
        if is_page(blocks) or not ("html" in texts or has_attached):
            yield from papers_of(blocks, source)
            return
    if "html" in texts and not has_attached:
        yield from papers_of_markup(texts["html"], source)


def _text(part: Any) -> str:
    check_encoding(part.get_content_charset("ascii"))
    content = part.get_content()
    return content if isinstance(content, str) else ""
