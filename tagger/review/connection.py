"""A connection to a Label Studio server, and what its errors mean to a person.

The server is the one of ``LABEL_STUDIO_URL`` and its token (see :mod:`tagger.review.token`), or
else the one that :mod:`tagger.review.server` runs in this workspace. A token is a legacy token or a
personal access token; the SDK tells them apart.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger.errors import TaggerError, without_password
from tagger.review.server import DEFAULT_FOLDER, EmbeddedServer
from tagger.review.token import FILE_VARIABLE, KEY_VARIABLE, find_token

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

URL_VARIABLE = "LABEL_STUDIO_URL"
_TIMEOUT = 300.0
"""Seconds; a server on a slow machine takes its time for a large export."""
_CONNECT_TIMEOUT = 10.0
_AGAIN = "Give the same command again: it goes on where it stopped"


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

        from tagger.review.retrying import RetryingClient

        url = url.strip().rstrip("/")
        self.url = without_password(url)
        key = key.strip()
        if not (key.isascii() and key.isprintable()):
            # The key itself is not quoted: it is a secret.
            raise TaggerError(f"{KEY_VARIABLE} has characters that no token has")
        with self.errors():
            # Nothing that goes to this machine goes through a proxy.
            local = httpx.URL(url).host in ("127.0.0.1", "::1", "localhost")
            http = RetryingClient(
                timeout=httpx.Timeout(_TIMEOUT, connect=_CONNECT_TIMEOUT),
                follow_redirects=True,
                trust_env=not local,
                verify=httpx.create_ssl_context(),
            )
            # The SDK would repeat what must not be done twice, such as making a project.
            self.client: LabelStudio = LabelStudio(  # type: ignore[no-untyped-call]
                base_url=url, api_key=key, httpx_client=http, max_retries=0
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

        from tagger.review.retrying import is_about_certificate

        try:
            yield
        except httpx.TimeoutException as error:
            raise TaggerError(
                "Label Studio takes too long to answer", path=self.url, hint=_AGAIN
            ) from error
        except httpx.HTTPError as error:
            if is_about_certificate(error):
                raise TaggerError(
                    f"the certificate of Label Studio is not to be trusted ({error})",
                    path=self.url,
                    hint="If it is signed by an authority of your own, set SSL_CERT_FILE to that "
                    f"one's certificate; or correct {URL_VARIABLE}",
                ) from error
            raise TaggerError(
                f"Label Studio does not answer ({error})",
                path=self.url,
                hint="Start it with 'tagger review serve', or correct "
                f"{URL_VARIABLE}; then give the same command again",
            ) from error
        except ApiError as error:
            raise self._explain(error.status_code, error.body, subject) from error
        except (httpx.InvalidURL, ValueError, TypeError, AttributeError) as error:
            # What is there answers, or is addressed, in a way that no Label Studio understands.
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise TaggerError(
                f"this is no Label Studio, or one of another version ({reason[0][:300]})",
                path=self.url,
                hint=f"Give the same command again; if that does not help, see {URL_VARIABLE}",
            ) from error

    def contradicts_itself(self, how: str) -> TaggerError:
        """Say that the server's answers do not fit together."""
        return TaggerError(
            f"Label Studio's answers do not add up: {how}",
            path=self.url,
            hint="Give the same command again, when nobody else adds or deletes tasks",
        )

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
        if status == 429:
            return TaggerError(
                "Label Studio is asked too often, and wants a pause", path=self.url, hint=_AGAIN
            )
        if status is not None and 200 <= status < 300:
            return TaggerError(
                f"Label Studio's answer is cut short, or none of its own ({_kind(body)})",
                path=self.url,
                hint=f"Give the same command again; if that does not help, see {URL_VARIABLE}",
            )
        return TaggerError(
            f"Label Studio answers with error {status}: {_detail(body)}",
            path=self.url,
            hint=_AGAIN if status is not None and status >= 500 else None,
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
    url = os.environ.get(URL_VARIABLE)
    if url:
        key = find_token(url)
        if key:
            return Connection(url, key)
        raise TaggerError(
            f"{KEY_VARIABLE} is not set",
            hint=f"Set it, or {FILE_VARIABLE} to a file that only you can read; without "
            f"{URL_VARIABLE} the workspace's own server is used",
        )
    if os.environ.get(KEY_VARIABLE) or os.environ.get(FILE_VARIABLE):
        raise TaggerError(
            f"{URL_VARIABLE} is not set",
            hint=f"It goes with {KEY_VARIABLE}; set both or neither",
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
    if _is_html(text):
        return _kind(text)
    return " ".join(text.split())[:300] or "nothing"


def _kind(body: Any) -> str:
    """Return what sort of answer this is; of a page, as a gateway sends it, with its title."""
    if not isinstance(body, str) or not _is_html(body):
        return "no JSON"
    title = re.search(r"<title>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
    return "a page of HTML" + (f", '{' '.join(title[1].split())[:100]}'" if title else "")


def _is_html(text: str) -> bool:
    return text.lstrip().startswith("<")
