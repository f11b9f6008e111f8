"""Reader for saved e-mail (``.eml``): a digest that came as a newsletter."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Sequence
from email.message import EmailMessage

from tagger.errors import TaggerError
from tagger.paper import Paper
from tagger.readers.digest import Block, blocks_of, papers_of, without_footer
from tagger.readers.html import digest_blocks
from tagger.readers.source import Source

_FIELD = re.compile(r"([!-9;-~]+):(?: |$)")
_OF_EVERY_MAIL = frozenset({"from"})
_OF_MAIL_ONLY = frozenset(
    {"date", "message-id", "mime-version", "received", "content-type", "return-path"}
)
_SIGNATURE = re.compile(r"^-- $", re.MULTILINE)
_LINK_LINE = re.compile(r"^[ \t]*[<(\[]?https?://\S+[ \t]*$", re.MULTILINE)


def is_mail(source: Source) -> bool:
    """Tell an e-mail by its header: nothing but fields, among them the sender and, say, a date."""
    if source.is_folder:
        return False
    names = set()
    for line in source.head.splitlines():
        if not line.strip():
            break
        field = _FIELD.match(line)
        if field:
            names.add(field[1].lower())
        elif not line.startswith((" ", "\t")):
            return False
    return names >= _OF_EVERY_MAIL and bool(names & _OF_MAIL_ONLY)


def read_mail(source: Source) -> list[Paper]:
    """Read the papers of an e-mail: of its plain text, or else of its HTML, as of a digest page.

    Raises
    ------
    TaggerError
        If there is no text in it, the text holds no paper, or a title has no abstract.
    """
    try:
        message = email.message_from_bytes(source.data, policy=email.policy.default)
        blocks = _blocks(message)
    except (TaggerError, ModuleNotFoundError):
        raise
    except Exception as error:  # a broken message makes it raise nearly anything
        raise TaggerError(
            f"is no e-mail that can be read ({' '.join(str(error).split())})", path=source.path
        ) from error
    return papers_of(blocks, source)


def _blocks(message: EmailMessage) -> Sequence[Block]:
    part = message.get_body(("plain", "html"))
    content = None if part is None else part.get_content()
    if part is None or not isinstance(content, str) or not content.strip():
        raise TaggerError("there is no text in this e-mail", hint="Save it with its text")
    if part.get_content_type() == "text/html":
        return digest_blocks(content)
    text = _LINK_LINE.sub("", _SIGNATURE.split(content.replace("\r\n", "\n"))[0])
    # Lines of the text are no lines of the file: it may be encoded.
    return without_footer([Block(None, block.text) for block in blocks_of(text)])
