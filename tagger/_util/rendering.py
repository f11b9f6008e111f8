"""Render Jinja templates; each lies next to the module that renders it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

from tagger._util.text_safety import as_markdown

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **content: Any) -> str:
    """Render ``tagger/<template>.j2`` with the values in ``content``.

    HTML templates escape all values; Markdown templates use the filter ``as_markdown``. Raises a
    jinja2.UndefinedError if the template uses a name that ``content`` lacks.
    """
    return _environment().get_template(f"{template}.j2").render(**content)


@cache
def _environment() -> Environment:
    # Imported here because tagging does not need it.
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("tagger", ""),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["as_markdown"] = as_markdown
    return environment


def policy_source(text: str) -> str:
    """Return the hash source of an inline style or script (W3C, "Content Security Policy")."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
