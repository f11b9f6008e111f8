"""Where the token for a Label Studio server is kept: the environment, a file, or the keyring.

A token is a password. It is taken from no option, since others can read the arguments of a process,
and from no file that others can read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tagger.errors import TaggerError

KEY_VARIABLE = "LABEL_STUDIO_API_KEY"
FILE_VARIABLE = "LABEL_STUDIO_API_KEY_FILE"
KEYRING_SERVICE = "tagger"


def find_token(url: str) -> str | None:
    """Return the token for a server, or None if there is none.

    It is that of ``LABEL_STUDIO_API_KEY``, or else the content of the file that
    ``LABEL_STUDIO_API_KEY_FILE`` names, or else what the system's keyring keeps for the service
    ``tagger`` and the address, if the package ``keyring`` is installed.

    Raises
    ------
    TaggerError
        If the file cannot be read, or others can read it; if the keyring is locked.
    """
    token = os.environ.get(KEY_VARIABLE)
    if token:
        return token
    path = os.environ.get(FILE_VARIABLE)
    return _from_file(Path(path)) if path else _from_keyring(url)


def _from_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            # Of the open file, that nobody can exchange in between.
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            token = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TaggerError(
            "the token cannot be read from this file", path=path, hint=f"See {FILE_VARIABLE}"
        ) from error
    if mode & 0o077:
        raise TaggerError(
            f"others may use this file (mode {mode:03o}), and it holds a token",
            path=path,
            hint=f"chmod 600 {path}, and make a new token if somebody may have read it",
        )
    return token


def _from_keyring(url: str) -> str | None:
    try:
        import keyring
        from keyring.errors import KeyringError, NoKeyringError
    except ModuleNotFoundError:
        return None
    try:
        found: str | None = keyring.get_password(KEYRING_SERVICE, url)
    except NoKeyringError:
        return None
    except KeyringError as error:
        raise TaggerError(
            f"the keyring cannot be read ({error})", hint=f"Unlock it, or set {KEY_VARIABLE}"
        ) from error
    return found
