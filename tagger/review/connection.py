"""A connection to a Label Studio server, and what its errors mean to a person.

The server is the one of ``LABEL_STUDIO_URL`` and ``LABEL_STUDIO_API_KEY`` (the names that Label
Studio's own SDK knows), or else the one that :mod:`tagger.review.server` runs in this workspace.
A key is a legacy token or a personal access token; the SDK tells them apart.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger.errors import TaggerError
from tagger.review.server import DEFAULT_FOLDER, EmbeddedServer

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

URL_VARIABLE = "LABEL_STUDIO_URL"
KEY_VARIABLE = "LABEL_STUDIO_API_KEY"
_TIMEOUT = 300.0
"""Seconds; a server on a slow machine takes its time for a large export."""


class Connection:
    """A Label Studio server that lets us in.

    Parameters
    ----------
    url:
        Address of the server.
    key:
        Legacy token or personal access token.

    Raises
    ------
    TaggerError
        If the server does not answer or refuses the key.
    """

    def __init__(self, url: str, key: str) -> None:
        import httpx
        from label_studio_sdk import LabelStudio

        self.url = url.strip().rstrip("/")
        key = key.strip()
        if not (key.isascii() and key.isprintable()):
            # The key itself is not quoted: it is a secret.
            raise TaggerError(f"{KEY_VARIABLE} has characters that no token has")
        with self.errors():
            # Nothing that goes to this machine goes through a proxy.
            local = httpx.URL(self.url).host in ("127.0.0.1", "::1", "localhost")
            http = httpx.Client(timeout=_TIMEOUT, follow_redirects=True, trust_env=not local)
            self.client: LabelStudio = LabelStudio(  # type: ignore[no-untyped-call]
                base_url=self.url, api_key=key, httpx_client=http
            )
            self.user = self.client.users.whoami()
            if not getattr(self.user, "email", None):
                raise ValueError("it knows of no account")

    @contextmanager
    def errors(self, subject: str | None = None) -> Iterator[None]:
        """Turn errors of the server into a :class:`TaggerError`.

        Parameters
        ----------
        subject:
            What is asked for, as it is named where the server has no such thing.
        """
        import httpx
        from label_studio_sdk.core.api_error import ApiError

        try:
            yield
        except httpx.TimeoutException as error:
            raise TaggerError(
                "Label Studio takes too long to answer",
                path=self.url,
                hint="Give the same command again: it goes on where it stopped",
            ) from error
        except httpx.HTTPError as error:
            raise TaggerError(
                f"Label Studio does not answer ({error})",
                path=self.url,
                hint="Start it with 'tagger review serve', or correct "
                f"{URL_VARIABLE}; then give the same command again",
            ) from error
        except ApiError as error:
            raise self._explain(error.status_code, error.body, subject) from error
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            # What is there answers, or is addressed, in a way that no Label Studio understands.
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise TaggerError(
                f"this is no Label Studio, or one of another version ({reason[0]})",
                path=self.url,
                hint=f"See {URL_VARIABLE}",
            ) from error

    def _explain(self, status: int | None, body: Any, subject: str | None) -> TaggerError:
        if status == 401:
            return TaggerError(
                "Label Studio refuses the token: it is wrong, expired or revoked",
                path=self.url,
                hint=f"Make a new one under Account & Settings and set {KEY_VARIABLE}",
            )
        if status == 403:
            return TaggerError(
                f"Label Studio does not let this account do that ({_detail(body)})", path=self.url
            )
        if status == 404:
            return TaggerError(f"Label Studio has no {subject or 'such thing'}", path=self.url)
        return TaggerError(
            f"Label Studio answers with error {status}: {_detail(body)}", path=self.url
        )


def connect(folder: Path = DEFAULT_FOLDER) -> Connection:
    """Connect to the server of the environment, or else to the one of this workspace.

    Parameters
    ----------
    folder:
        Where the workspace's own server keeps its data.

    Raises
    ------
    TaggerError
        If there is no server, it does not answer, or it refuses the key.
    """
    url, key = os.environ.get(URL_VARIABLE), os.environ.get(KEY_VARIABLE)
    if url and key:
        return Connection(url, key)
    if url or key:
        missing = KEY_VARIABLE if url else URL_VARIABLE
        raise TaggerError(
            f"{missing} is not set",
            hint=f"{URL_VARIABLE} and {KEY_VARIABLE} go together; set both or neither",
        )
    running = EmbeddedServer(folder).running()
    if running is None:
        raise TaggerError(
            "no Label Studio is running here",
            path=folder,
            hint=f"Start one with 'tagger review serve', or set {URL_VARIABLE} and {KEY_VARIABLE}",
        )
    return Connection(running.url, running.token)


def _detail(body: Any) -> str:
    """Return what the server says of an error, in one short line."""
    if isinstance(body, dict):
        body = body.get("validation_errors") or body.get("detail") or body
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return " ".join(text.split())[:300]
