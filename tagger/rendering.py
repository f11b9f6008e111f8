"""Pages from the templates in ``templates/``."""

from __future__ import annotations

from typing import Any

from tagger.markdown import as_markdown


def render(template: str, **content: Any) -> str:
    """Fill in a template.

    What goes into an HTML page is escaped, what goes into Markdown is by ``as_markdown``; a name
    that the template uses and ``content`` lacks is an error.

    Parameters
    ----------
    template:
        File name without ``.j2``, such as ``comparison.html``.
    content:
        What the template speaks of.
    """
    # Imported here: those who only tag have no need of it.
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("tagger"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["as_markdown"] = as_markdown
    return environment.get_template(f"{template}.j2").render(**content)
