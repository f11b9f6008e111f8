"""Connect to a Label Studio server, and translate its errors.

The server is that of ``LABEL_STUDIO_URL``, or else the one that :mod:`tagger.review.server` runs
for this user. The token can be a legacy token or a personal access token.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger._util.web import find_token, make_client
from tagger.errors import TaggerError, first_line, without_password
from tagger.review.server import EmbeddedServer

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

URL_VARIABLE = "LABEL_STUDIO_URL"
KEY_VARIABLE = "LABEL_STUDIO_API_KEY"
FILE_VARIABLE = "LABEL_STUDIO_API_KEY_FILE"
_REPEAT = "Run the same command again: it continues where it stopped"
PULLED_STAYS = "the answers that were pulled are still in the label folder"
_CHECK_ADDRESS = f"Run the same command again; if that does not help, check {URL_VARIABLE}"


class Connection:
    """A Label Studio server that accepts the token.

    Every method, like the constructor, raises a TaggerError if the server does not answer, refuses
    the token or is not Label Studio.
    """

    def __init__(self, url: str, key: str) -> None:
        from label_studio_sdk import LabelStudio

        url, key = url.strip().rstrip("/"), key.strip()
        self.url = without_password(url)
        if not (key.isascii() and key.isprintable()):
            # The key itself is not quoted: it is a secret.
            raise TaggerError(f"the token in {KEY_VARIABLE} has invalid characters")
        with self.errors():
            # The SDK's own retries would repeat a POST, and so create a project twice.
            self.client: LabelStudio = LabelStudio(  # type: ignore[no-untyped-call]
                base_url=url, api_key=key, httpx_client=make_client(url), max_retries=0
            )
            self.user = self.client.users.whoami()
            if not getattr(self.user, "email", None):
                raise ValueError("it returned no account")

    @contextmanager
    def errors(self, subject: str | None = None) -> Iterator[None]:
        """Raise errors of the server as a :class:`TaggerError`; a 404 names ``subject``."""
        import httpx
        from label_studio_sdk.core.api_error import ApiError

        try:
            yield
        except httpx.TimeoutException as error:
            raise self._error("Label Studio takes too long to answer", _REPEAT) from error
        except httpx.HTTPError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                problem = f"the certificate of Label Studio is not trusted ({error})"
                hint = "If your own authority signed it, set SSL_CERT_FILE to the certificate of "
                hint += f"that authority; or correct {URL_VARIABLE}"
            else:
                problem = f"Label Studio does not answer ({error})"
                hint = f"Start it with 'tagger review serve', or correct {URL_VARIABLE}; "
                hint += "then run the same command again"
            raise self._error(problem, hint) from error
        except ApiError as error:
            raise self._explain(error.status_code, error.body, subject) from error
        except (httpx.InvalidURL, ValueError, TypeError, AttributeError) as error:
            # The SDK cannot parse the answer, or the address is invalid.
            raise self._error(
                f"the server is not Label Studio, or another version of it ({first_line(error)})",
                _CHECK_ADDRESS,
            ) from error

    def inconsistent(self, details: str) -> TaggerError:
        """Return the error for answers of the server that contradict each other."""
        return self._error(
            f"Label Studio's answers are inconsistent: {details}",
            "Run the same command again while nobody else adds or deletes tasks",
        )

    def _error(self, problem: str, hint: str | None = None) -> TaggerError:
        return TaggerError(problem, path=self.url, hint=hint)

    def _explain(self, status: int | None, body: Any, subject: str | None) -> TaggerError:
        explained = {
            401: (
                "Label Studio refuses the token: it is wrong, expired or revoked",
                f"Create a new token under Account & Settings and set {KEY_VARIABLE}",
            ),
            403: (f"this account lacks the permission in Label Studio ({_detail(body)})", None),
            404: (f"Label Studio has no {subject}", f"If it was deleted: {PULLED_STAYS}")
            if subject
            else ("found no Label Studio at this address", f"Check {URL_VARIABLE}"),
            429: ("Label Studio receives too many requests", _REPEAT),
        }
        if status in explained:
            return self._error(*explained[status])
        if status is not None and 200 <= status < 300:
            problem = f"Label Studio's answer is incomplete or not its own ({_kind(body)})"
            return self._error(problem, _CHECK_ADDRESS)
        hint = _REPEAT if status is not None and status >= 500 else None
        return self._error(f"Label Studio answers with error {status}: {_detail(body)}", hint)


def connect(folder: Path | None = None) -> Connection:
    """Connect to the server of ``LABEL_STUDIO_URL``, or else to the one that runs in ``folder``.

    ``folder`` is by default :func:`~tagger.review.server.default_folder`. Raises a TaggerError if
    no server answers or the token is missing.
    """
    if url := os.environ.get(URL_VARIABLE):
        if key := find_token(KEY_VARIABLE, url):
            return Connection(url, key)
        raise TaggerError(
            f"{KEY_VARIABLE} is not set",
            hint=f"Set it, or set {FILE_VARIABLE} to a file that only you can read; without "
            f"{URL_VARIABLE} the server of 'tagger review serve' is used",
        )
    if os.environ.get(KEY_VARIABLE) or os.environ.get(FILE_VARIABLE):
        raise TaggerError(
            f"{URL_VARIABLE} is not set",
            hint="Set both the address and the token, or neither",
        )
    server = EmbeddedServer(folder)
    running = server.running()
    if running is None:
        raise TaggerError(
            "no Label Studio is running here",
            path=server.folder,
            hint=f"Start one with 'tagger review serve', or set {URL_VARIABLE} and {KEY_VARIABLE}",
        )
    return Connection(running.url, running.token)


def _detail(body: Any) -> str:
    """Return the server's description of an error in one short line."""
    if isinstance(body, dict):
        body = body.get("validation_errors") or body.get("detail") or body
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return _kind(text) if _is_html(text) else " ".join(text.split())[:300] or "nothing"


def _kind(body: Any) -> str:
    """Return the kind of an unexpected answer, with the title if it is an HTML page."""
    if not isinstance(body, str) or not _is_html(body):
        return "not JSON"
    title = re.search(r"<title>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
    return "an HTML page" + (f", '{' '.join(title[1].split())[:100]}'" if title else "")


def _is_html(text: str) -> bool:
    return text.lstrip().startswith("<")
