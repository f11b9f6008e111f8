"""Vectors of texts that were encoded before, so that a page seen again costs next to nothing.

One SQLite file for all workspaces of a user, in the user's cache folder or where
``TAGGER_CACHE`` says (``off`` for none). It holds hashes and numbers, no text. It is never needed:
a cache that cannot be read or written is done without, and a damaged one is begun anew.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np

from tagger.encoder import (
    BUNDLED_DIMENSIONS,
    BUNDLED_ENCODER,
    BUNDLED_IDENTITY,
    DEFAULT_MAX_TOKENS,
    Encoder,
    Progress,
    TorchEncoder,
    Vectors,
    load_trainable,
)

CACHE_VARIABLE = "TAGGER_CACHE"
CACHE_FILE = "vectors-1.sqlite"
"""The number is that of the table's layout."""
_LIMIT = 512 * 2**20
"""Bytes; a vector of the bundled encoder takes about 1,600."""

_LEFT = 0.8
"""Share of the limit that is left when the least recently used are dropped."""

_TOUCH_AFTER = 24 * 3600
"""Seconds after which use is noted again: noting each would turn every read into a write."""

_CHUNK = 500
"""Keys that one query asks for; SQLite takes a limited number of parameters."""


class VectorCache:
    """Vectors by key, kept in a file up to a size; those unused for longest go first.

    Several processes may use one file at once.

    Parameters
    ----------
    path:
        The SQLite file; made with its folder when something is first put in.
    limit:
        Bytes that the file may take.
    """

    def __init__(self, path: Path, limit: int = _LIMIT) -> None:
        self.path = path
        self.limit = limit

    def get(self, keys: Sequence[bytes], size: int) -> dict[bytes, Vectors]:
        """Return the vectors that are there, each of shape (size,); any other is left out."""
        found: dict[bytes, Vectors] = {}
        now = int(time.time())
        old: list[tuple[int, bytes]] = []
        with self._forgiving():
            if not self.path.exists():
                return found
            with closing(self._connect()) as connection:
                for start in range(0, len(keys), _CHUNK):
                    some = keys[start : start + _CHUNK]
                    rows = connection.execute(
                        "SELECT key, vector, used FROM vectors "
                        f"WHERE key IN ({','.join('?' * len(some))}) "
                        "AND typeof(vector) = 'blob' AND length(vector) = ?",
                        [*some, 4 * size],
                    )
                    for key, blob, used in rows:
                        vector = np.frombuffer(blob, dtype="<f4").astype(np.float32)
                        if np.isfinite(vector).all():
                            found[key] = vector
                        if abs(now - used) > _TOUCH_AFTER:
                            old.append((now, key))
                if old:
                    with connection:
                        connection.executemany("UPDATE vectors SET used = ? WHERE key = ?", old)
        return found

    def put(self, vectors: Mapping[bytes, Vectors]) -> None:
        """Keep vectors, each of shape (size,)."""
        now = int(time.time())
        rows = [(key, vector.astype("<f4").tobytes(), now) for key, vector in vectors.items()]
        with self._forgiving():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection, connection:
                connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
                self._drop_least_recently_used(connection, now)

    def _drop_least_recently_used(self, connection: sqlite3.Connection, now: int) -> None:
        def pragma(name: str) -> int:
            return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

        taken = (pragma("page_count") - pragma("freelist_count")) * pragma("page_size")
        if taken <= self.limit:
            return
        count = connection.execute("SELECT COUNT(*) FROM vectors").fetchone()[0]
        connection.execute(
            # What was used in the future, by a clock that has gone back since, may be old.
            "DELETE FROM vectors WHERE key IN "
            "(SELECT key FROM vectors ORDER BY used > ? DESC, used LIMIT ?)",
            (now + _TOUCH_AFTER, int(count * (1 - _LEFT * self.limit / taken)) + 1),
        )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=5)
        try:
            # Vectors can be made again: a crash of the machine may cost them.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS vectors "
                "(key BLOB PRIMARY KEY, vector BLOB NOT NULL, used INTEGER NOT NULL)"
            )
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Go on without the cache where it fails; throw a damaged one away."""
        try:
            yield
        except (OSError, sqlite3.OperationalError):
            # Read-only, full, or busy for long: another time.
            return
        except sqlite3.DatabaseError as error:
            # The lowest byte says what it is, the others in what.
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise
            for part in ("", "-journal"):
                with suppress(OSError):
                    self.path.with_name(self.path.name + part).unlink()


class CachedEncoder:
    """An encoder that asks a cache first, and is made only if the cache lacks something.

    Parameters
    ----------
    make:
        Makes the encoder.
    identity:
        What the vectors depend on beside the text.
    size:
        Dimensions of the vectors.
    cache:
        Where vectors are kept.
    """

    def __init__(
        self, make: Callable[[], Encoder], identity: str, size: int, cache: VectorCache
    ) -> None:
        self._make = make
        self._identity = identity
        self._size = size
        self._cache = cache
        self._encoder: Encoder | None = None

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Return one vector of unit length per text, shape (texts, dimensions)."""
        keys = [self._key(text) for text in texts]
        vectors = self._cache.get(keys, self._size)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in vectors}
        done = len(texts) - len(missing)
        if missing:
            self._encoder = self._encoder or self._make()
            report = (lambda new, _: progress(done + new, len(texts))) if progress else None
            encoded = self._encoder.encode(list(missing.values()), report)
            new = dict(zip(missing, encoded, strict=True))
            self._cache.put(new)
            vectors |= new
        elif progress:
            progress(done, len(texts))
        return np.array([vectors[key] for key in keys], dtype=np.float32).reshape(
            len(texts), self._size
        )

    def _key(self, text: str) -> bytes:
        content = f"{self._identity}\0{text}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(content).digest()


def usual_cache_folder() -> Path | None:
    """Return the user's cache folder, or None where ``TAGGER_CACHE`` is ``off``."""
    chosen = os.environ.get(CACHE_VARIABLE, "")
    if chosen.lower() == "off":
        return None
    from platformdirs import user_cache_path

    return Path(chosen) if chosen else user_cache_path("tagger")


def usual_cache() -> VectorCache | None:
    """Return the user's cache, or None where ``TAGGER_CACHE`` is ``off``."""
    folder = usual_cache_folder()
    return VectorCache(folder / CACHE_FILE) if folder else None


def bundled_encoder(cache: VectorCache | None) -> Encoder:
    """Return the bundled encoder as it comes, not fine-tuned on any label.

    Parameters
    ----------
    cache:
        Where vectors are kept; with one, the encoder is loaded when the first text has to be
        encoded.

    Raises
    ------
    TaggerError
        When it is loaded, if it is not installed or damaged.
    """

    def make() -> Encoder:
        return TorchEncoder(load_trainable(BUNDLED_ENCODER, DEFAULT_MAX_TOKENS))

    if cache is None:
        return make()
    return CachedEncoder(
        make, f"{BUNDLED_IDENTITY} {DEFAULT_MAX_TOKENS}", BUNDLED_DIMENSIONS, cache
    )
