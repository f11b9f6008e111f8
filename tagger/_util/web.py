"""HTTP clients that repeat what may be repeated, and tokens of servers.

No command has an option for a token, because other users can read the arguments of a process.
"""

from __future__ import annotations

import os
import stat
import urllib.request
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tagger.errors import TaggerError

if TYPE_CHECKING:
    import httpx

IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
KEYRING_SERVICE = "tagger"
LONGEST_WAIT = 60.0
"""Seconds that a request waits at most before it is repeated."""
_TIMEOUT = 300.0
"""In seconds; a large export takes minutes on a slow server."""
_CONNECT_TIMEOUT = 10.0
_RETRIES = 3
_BACKOFF_SECONDS = 0.5
_TRANSIENT = (429, 500, 502, 503, 504)


def make_client(
    url: str,
    methods: Collection[str] = IDEMPOTENT,
    headers: Mapping[str, str] | None = None,
    timeout: float = _TIMEOUT,
) -> httpx.Client:
    """Return an HTTP client that repeats requests with some methods after transient failures.

    It follows ``Retry-After``. ``timeout`` is in seconds.
    """
    import httpx
    from httpx_retries import Retry, RetryTransport

    address = httpx.URL(url)
    # Requests to this machine bypass proxies.
    local = address.host in ("127.0.0.1", "::1", "localhost")
    proxies = urllib.request.getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if local or urllib.request.proxy_bypass(address.host):
        proxy = None
    retry = Retry(
        _RETRIES,
        allowed_methods=methods,
        status_forcelist=_TRANSIENT,
        retry_on_exceptions=(httpx.NetworkError, httpx.RemoteProtocolError),
        backoff_factor=_BACKOFF_SECONDS,
        max_backoff_wait=LONGEST_WAIT,
    )
    context = httpx.create_ssl_context()
    return httpx.Client(
        transport=RetryTransport(httpx.HTTPTransport(verify=context, proxy=proxy), retry),
        timeout=httpx.Timeout(timeout, connect=_CONNECT_TIMEOUT),
        follow_redirects=True,
        trust_env=not local,
        headers=headers,
    )


def find_token(variable: str, address: str) -> str | None:
    """Return the token for a server, or None if there is none.

    It is looked up in the environment ``variable``, in the file that ``<variable>_FILE`` names,
    and, if the package ``keyring`` is installed, in the system's keyring under the service
    ``tagger`` and the address. Raises a TaggerError if the file or the keyring cannot be read.
    """
    if token := os.environ.get(variable):
        return token
    if path := os.environ.get(f"{variable}_FILE"):
        return _token_of_file(Path(path), f"{variable}_FILE")
    return _token_of_keyring(variable, address)


def _token_of_file(path: Path, variable: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            # fstat on the open file: nobody can replace it in between.
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            token = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TaggerError(
            "the token cannot be read from this file", path=path, hint=f"Check {variable}"
        ) from error
    if mode & 0o077:
        raise TaggerError(
            f"other users can access this file with a token (mode {mode:03o})",
            path=path,
            hint=f"Run 'chmod 600 {path}', and create a new token if somebody may have read it",
        )
    return token


def _token_of_keyring(variable: str, address: str) -> str | None:
    try:
        import keyring
        from keyring.errors import KeyringError, NoKeyringError
    except ModuleNotFoundError:
        return None
    try:
        found: str | None = keyring.get_password(KEYRING_SERVICE, address)
    except NoKeyringError:
        return None
    except KeyringError as error:
        raise TaggerError(
            f"the keyring cannot be read ({error})", hint=f"Unlock it, or set {variable}"
        ) from error
    return found
