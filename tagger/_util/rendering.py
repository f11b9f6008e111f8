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
    text = _environment().get_template(f"{template}.j2").render(**content)
    # JSON can hold lone surrogates, which cannot be written or sent as UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8")


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


def content_policy(style: str, script: str) -> str:
    """Return a policy that allows only this style and script (W3C, "Content Security Policy")."""
    allowed = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (style, script)
    ]
    return (
        "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'"
    ).format(*allowed)
