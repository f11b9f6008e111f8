"""Cache the vectors of texts, so that a text is encoded once.

The cache is one SQLite file for all projects of a user, in the user's cache folder or the folder
``TAGGER_CACHE`` (``off`` for no cache). It contains hashes and numbers, no text. If it cannot be
read or written, texts are encoded without it. A damaged cache is deleted.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tagger._util.arrays import Vectors
from tagger._util.progress import StepProgress
from tagger.model.encoder import Encoder

CACHE_VARIABLE = "TAGGER_CACHE"
CACHE_FILE = "vectors-1.sqlite"
"""The number is the version of the table."""
_LIMIT = 512 * 2**20
"""Maximum size in bytes; a vector of the bundled encoder takes about 1,600."""
_KEPT = 0.8
"""Share of the maximum size that is kept when the least recently used vectors are dropped."""
_TOUCH_AFTER = 24 * 3600
"""Seconds after which the time of use is updated; not at each use, which would be a write."""
_CHUNK = 500
"""Maximum number of keys of a query; SQLite limits the number of parameters."""


@dataclass
class VectorCache:
    """Vectors by key, in a file of at most ``limit`` bytes; the least recently used are dropped.

    Several processes may use the file at the same time. The file and its folder are created by the
    first :meth:`put`.
    """

    path: Path
    limit: int = _LIMIT

    def get(self, keys: Sequence[bytes], size: int) -> dict[bytes, Vectors]:
        """Return the cached vectors, each of shape (size,); missing ones are left out."""
        found: dict[bytes, Vectors] = {}
        now = int(time.time())

        def read(connection: sqlite3.Connection) -> None:
            old = []
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
                connection.executemany("UPDATE vectors SET used = ? WHERE key = ?", old)

        self._attempt(read, create=False)
        return found

    def put(self, vectors: Mapping[bytes, Vectors]) -> None:
        """Store vectors of shape (size,), and drop old ones if the file is too large."""
        now = int(time.time())
        rows = [(key, vector.astype("<f4").tobytes(), now) for key, vector in vectors.items()]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
            self._drop_least_recently_used(connection)

        self._attempt(write, create=True)

    def _drop_least_recently_used(self, connection: sqlite3.Connection) -> None:
        pages, free, page_size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        taken = (pages - free) * page_size
        if taken > self.limit:
            count = connection.execute("SELECT COUNT(*) FROM vectors").fetchone()[0]
            connection.execute(
                "DELETE FROM vectors WHERE key IN (SELECT key FROM vectors ORDER BY used LIMIT ?)",
                (int(count * (1 - _KEPT * self.limit / taken)) + 1,),
            )

    def _attempt(self, work: Callable[[sqlite3.Connection], None], *, create: bool) -> None:
        """Run ``work`` in one transaction; without the cache if its file cannot be used."""
        try:
            if create:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            elif not self.path.exists():
                return
            with closing(sqlite3.connect(self.path, timeout=5)) as connection, connection:
                # Vectors can be computed again, so losing them in a crash is acceptable.
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS vectors "
                    "(key BLOB PRIMARY KEY, vector BLOB NOT NULL, used INTEGER NOT NULL)"
                )
                work(connection)
        except (OSError, sqlite3.OperationalError):
            return  # read-only, full, or locked
        except sqlite3.DatabaseError as error:
            # The lowest byte is the kind of error.
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise
            for part in ("", "-journal"):
                with suppress(OSError):
                    self.path.with_name(self.path.name + part).unlink()


@dataclass
class CachedEncoder:
    """An encoder with a cache; it is created by ``make`` only if a vector is not cached.

    ``identity`` names all that vectors depend on besides the text. They have ``size`` dimensions.
    """

    make: Callable[[], Encoder]
    identity: str
    size: int
    cache: VectorCache
    _encoder: Encoder | None = None

    def encode(self, texts: Sequence[str], progress: StepProgress | None = None) -> Vectors:
        """Return one vector of unit length per text, shape (texts, dimensions)."""
        keys = [self._key(text) for text in texts]
        vectors = self.cache.get(keys, self.size)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in vectors}
        done = len(texts) - len(missing)
        if missing:
            self._encoder = self._encoder or self.make()
            report = (lambda new, _: progress(done + new, len(texts))) if progress else None
            encoded = self._encoder.encode(list(missing.values()), report)
            new = dict(zip(missing, encoded, strict=True))
            self.cache.put(new)
            vectors |= new
        elif progress:
            progress(done, len(texts))
        found = np.array([vectors[key] for key in keys], dtype=np.float32)
        return found.reshape(len(texts), self.size)

    def _key(self, text: str) -> bytes:
        content = f"{self.identity}\0{text}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(content).digest()


def default_cache_folder() -> Path | None:
    """Return the user's cache folder, or None if ``TAGGER_CACHE`` is ``off``."""
    chosen = os.environ.get(CACHE_VARIABLE, "")
    if chosen.lower() == "off":
        return None
    from platformdirs import user_cache_path

    return Path(chosen) if chosen else user_cache_path("tagger")


def default_cache() -> VectorCache | None:
    """Return the user's cache, or None if ``TAGGER_CACHE`` is ``off``."""
    folder = default_cache_folder()
    return VectorCache(folder / CACHE_FILE) if folder else None
