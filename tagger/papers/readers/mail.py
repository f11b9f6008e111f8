"""Reader for saved e-mail (``.eml``): a digest that came as a newsletter."""

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
_OF_MAIL = {"date", "message-id", "mime-version", "received", "content-type", "return-path"}
"""One of them is in the header of a mail, besides the sender."""
_LONGEST_FIELD = 500
"""Characters of a header field that are looked at: its parser takes ever longer for more."""
_MOST_PARTS = 100
_SIGNATURE = re.compile(r"^-- $", re.MULTILINE)
_LINK_LINE = re.compile(r"^[ \t]*[<(\[]?https?://\S+[ \t]*$", re.MULTILINE)


def recognise(source: Source) -> bool:
    """Tell an e-mail by its header: nothing but fields, among them the sender and, say, a date."""
    names = set()
    for line in source.head.splitlines():
        if not line.strip():
            break
        field = _FIELD.match(line)
        if field:
            names.add(field[1].lower())
        elif not line.startswith((" ", "\t")):
            return False
    return "from" in names and bool(names & _OF_MAIL)


def read(source: Source) -> list[Paper]:
    """Read the papers of an e-mail: of its plain text, or else of its HTML, as of a digest page."""
    with parsing("e-mail"):
        # The stubs know a policy only with the parts that are made without one.
        policy: Any = _CarefulPolicy(message_factory=_limited_parts())
        message: Any = email.message_from_bytes(source.data, policy=policy)
        blocks = _blocks(message)
    return papers_of(blocks, source)


class _CarefulPolicy(EmailPolicy):
    """Reads the beginning of each header field: a type, an encoding, a boundary."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        return super().header_fetch_parse(name, value[:_LONGEST_FIELD])


def _limited_parts() -> Callable[..., EmailMessage]:
    """Return what makes the parts of one e-mail, up to a number."""
    numbers = count(1)

    def make(policy: Policy) -> EmailMessage:
        if next(numbers) > _MOST_PARTS:
            raise TaggerError(f"has more than {_MOST_PARTS} parts")
        return EmailMessage(policy)

    return make


def _blocks(message: EmailMessage) -> Sequence[Block]:
    part = message.get_body(("plain", "html"))
    if part is not None:
        check_encoding(part.get_content_charset("ascii"))
    content = None if part is None else part.get_content()
    if part is None or not isinstance(content, str) or not content.strip():
        raise TaggerError("there is no text in this e-mail", hint="Save it with its text")
    if part.get_content_type() == "text/html":
        return digest_blocks(content)
    text = _LINK_LINE.sub("", _SIGNATURE.split(content.replace("\r\n", "\n"))[0])
    # Lines of the text are no lines of the file: it may be encoded.
    return without_footer([Block(None, block.text) for block in blocks_of(text)])
