"""``tagger ui``: MLflow's pages for the versions of this workspace."""

from __future__ import annotations

from typing import Annotated

import typer

from tagger.cli import output

Port = Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")]


def ui(port: Port = 5000) -> None:
    """Start MLflow's pages on this machine, to look at versions and compare them.

    The address is printed when the pages answer. They are served on 127.0.0.1 only, until Ctrl+C.
    If MLFLOW_TRACKING_URI names a server, its address is printed instead.

    Example: tagger ui --port 5000
    """
    from tagger.registry import serve_pages

    with output.needs_extra("train"):
        serve_pages(port, lambda address: output.echo(f"MLflow: {address}"))
