"""Pages from the templates in ``templates/``."""

from __future__ import annotations

from typing import Any

from tagger._util.text_safety import as_markdown


def render(template: str, **content: Any) -> str:
    """Fill in ``templates/<template>.j2``; a name that it uses and ``content`` lacks is an error.

    In a template of HTML values are escaped, in one of Markdown by the filter ``as_markdown``.
    """
    # Imported here: those who only tag have no need of it.
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("tagger", "_util/templates"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["as_markdown"] = as_markdown
    return environment.get_template(f"{template}.j2").render(**content)
