"""Reader for saved e-mails (``.eml``) that contain a digest."""

from __future__ import annotations

import email
import re
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from email.policy import EmailPolicy, Policy
from itertools import count
from typing import Any

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.digest import Block, blocks_of, papers_of, without_footer
from tagger.papers.readers.html import digest_blocks
from tagger.papers.readers.source import Source, check_encoding, parsing

_FIELD = re.compile(r"([!-9;-~]+):(?: |$)")
_MAIL_FIELDS = {"date", "message-id", "mime-version", "received", "content-type", "return-path"}
"""The header of an e-mail has at least one of these fields and the sender."""
_MAX_FIELD = 500
"""Characters of a header field that are parsed; the parser's time grows faster than the length."""
_MAX_PARTS = 100
_SIGNATURE = re.compile(r"^-- $", re.MULTILINE)
_LINK_LINE = re.compile(r"^[ \t]*[<(\[]?https?://\S+[ \t]*$", re.MULTILINE)


def recognise(source: Source) -> bool:
    """Recognise an e-mail by its header, which has a sender and, for example, a date."""
    names = set()
    for line in source.head.splitlines():
        if not line.strip():
            break
        field = _FIELD.match(line)
        if field:
            names.add(field[1].lower())
        elif not line.startswith((" ", "\t")):
            return False
    return "from" in names and bool(names & _MAIL_FIELDS)


def read(source: Source) -> list[Paper]:
    """Read the papers of an e-mail as a digest page: its plain text, or else its HTML."""
    with parsing("an e-mail"):
        # Any, because the type stubs do not accept a message_factory here.
        policy: Any = _ShortFieldPolicy(message_factory=_limited_parts())
        message: Any = email.message_from_bytes(source.data, policy=policy)
        blocks = _blocks(message)
    return papers_of(blocks, source)


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


def _blocks(message: EmailMessage) -> Sequence[Block]:
    part = message.get_body(("plain", "html"))
    if part is not None:
        check_encoding(part.get_content_charset("ascii"))
    content = None if part is None else part.get_content()
    if part is None or not isinstance(content, str) or not content.strip():
        raise TaggerError("the e-mail contains no text", hint="Save it again with its text")
    if part.get_content_type() == "text/html":
        return digest_blocks(content)
    text = _LINK_LINE.sub("", _SIGNATURE.split(content.replace("\r\n", "\n"))[0])
    # Without line numbers: those of the decoded text differ from those of the file.
    return without_footer([Block(None, block.text) for block in blocks_of(text)])
