"""Render Jinja templates; each lies next to the module that renders it."""

from __future__ import annotations

from typing import Any

from tagger._util.text_safety import as_markdown


def render(template: str, **content: Any) -> str:
    """Render ``tagger/<template>.j2`` with the values in ``content``.

    HTML templates escape all values; Markdown templates use the filter ``as_markdown``.

    Raises
    ------
    jinja2.UndefinedError
        If the template uses a name that ``content`` lacks.
    """
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
    return environment.get_template(f"{template}.j2").render(**content)
