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

from tagger.encoder import Encoder, Progress, Vectors

CACHE_VARIABLE = "TAGGER_CACHE"
CACHE_FILE = "vectors.sqlite"
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

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        """Return the vectors that are there, each of shape (dimensions,)."""
        found: dict[bytes, Vectors] = {}
        if not self.path.exists():
            return found
        with self._forgiving(), closing(self._connect()) as connection, connection:
            now = int(time.time())
            for start in range(0, len(keys), _CHUNK):
                some = keys[start : start + _CHUNK]
                rows = connection.execute(
                    "SELECT key, vector, used FROM vectors "
                    f"WHERE key IN ({','.join('?' * len(some))})",
                    some,
                ).fetchall()
                for key, blob, _ in rows:
                    if len(blob) % 4 == 0:
                        found[key] = np.frombuffer(blob, dtype="<f4").astype(np.float32)
                old = [(now, key) for key, _, used in rows if now - used > _TOUCH_AFTER]
                connection.executemany("UPDATE vectors SET used = ? WHERE key = ?", old)
        return found

    def put(self, vectors: Mapping[bytes, Vectors]) -> None:
        """Keep vectors, each of shape (dimensions,)."""
        now = int(time.time())
        rows = [(key, vector.astype("<f4").tobytes(), now) for key, vector in vectors.items()]
        with self._forgiving():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection, connection:
                connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
                self._drop_least_recently_used(connection)

    def _drop_least_recently_used(self, connection: sqlite3.Connection) -> None:
        def pragma(name: str) -> int:
            return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

        taken = (pragma("page_count") - pragma("freelist_count")) * pragma("page_size")
        if taken <= self.limit:
            return
        count = connection.execute("SELECT COUNT(*) FROM vectors").fetchone()[0]
        connection.execute(
            "DELETE FROM vectors WHERE key IN (SELECT key FROM vectors ORDER BY used LIMIT ?)",
            (int(count * (1 - _LEFT * self.limit / taken)) + 1,),
        )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=5)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
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
        except sqlite3.DatabaseError:
            for part in ("", "-wal", "-shm"):
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
    cache:
        Where vectors are kept.
    """

    def __init__(self, make: Callable[[], Encoder], identity: str, cache: VectorCache) -> None:
        self._make = make
        self._identity = identity
        self._cache = cache
        self._encoder: Encoder | None = None

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Return one vector of unit length per text, shape (texts, dimensions)."""
        keys = [self._key(text) for text in texts]
        found = self._cache.get(keys)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing or not keys:
            self._encoder = self._encoder or self._make()
            done = len(texts) - len(missing)
            report = (lambda new, _: progress(done + new, len(texts))) if progress else None
            vectors = self._encoder.encode(list(missing.values()), report)
            if not keys:
                return vectors
            # A cache may hold anything: what is of another size is no vector of this encoder.
            size = vectors.shape[1]
            if any(len(vector) != size for vector in found.values()):
                return self._encoder.encode(texts, progress)
            new = dict(zip(missing, vectors, strict=True))
            self._cache.put(new)
            found |= new
        elif progress:
            progress(len(texts), len(texts))
        return np.stack([found[key] for key in keys])

    def _key(self, text: str) -> bytes:
        content = f"{self._identity}\0{text}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(content).digest()


def usual_cache() -> VectorCache | None:
    """Return the user's cache, or None where ``TAGGER_CACHE`` is ``off``."""
    chosen = os.environ.get(CACHE_VARIABLE, "")
    if chosen.lower() == "off":
        return None
    from platformdirs import user_cache_path

    return VectorCache((Path(chosen) if chosen else user_cache_path("tagger")) / CACHE_FILE)
