"""Where the model of a name lies, for as long as nobody has written to the store since.

Loading MLflow takes seconds, and tagging a page takes less. So what MLflow said of a name such as
``champion`` is kept beside its database, and holds while the database is as it was then: SQLite
counts changes in the file's header ("File change counter",
https://www.sqlite.org/fileformat2.html).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tagger.atomic import replacing
from tagger.encoder import sha256_of
from tagger.errors import TaggerError
from tagger.model import MANIFEST_FILE

_HEADER = 100
_JOURNAL_FORMATS = slice(18, 20)
_ROLLBACK_JOURNAL = b"\x01\x01"
"""With the other journal, of writing ahead, changes are not counted in the header."""
_CHANGES = slice(24, 28)


class ResolvedModel(BaseModel):
    """The version that a name stands for, and where its model is.

    Parameters
    ----------
    version:
        Its name, for example ``tagger/7``.
    folder:
        Its model.
    manifest:
        SHA-256 of the manifest there, which holds those of the other files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    folder: Path
    manifest: str


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    state: str
    models: dict[str, ResolvedModel]


class ResolutionCache:
    """What names stood for when they were last looked up.

    What cannot be read or written is done without.

    Parameters
    ----------
    path:
        The file in which this is kept.
    database:
        The store's SQLite database.
    """

    def __init__(self, path: Path, database: Path) -> None:
        self._path = path
        self._database = database

    def state(self) -> str | None:
        """Return a text that is another after each change of the database, if that can be told."""
        try:
            with self._database.open("rb") as file:
                header = file.read(_HEADER)
            status = self._database.stat()
        except OSError:
            return None
        if header[_JOURNAL_FORMATS] != _ROLLBACK_JOURNAL:
            return None
        # The time, too: the database may be one that was copied here.
        return f"{header[_CHANGES].hex()} {status.st_size} {status.st_mtime_ns}"

    def get(self, name: str) -> ResolvedModel | None:
        """Return what a name stands for, if that is known and the model is still there."""
        kept = self._kept()
        found = kept.models.get(name) if kept and kept.state == self.state() else None
        if found is None:
            return None
        try:
            same = sha256_of(found.folder / MANIFEST_FILE) == found.manifest
        except OSError:
            return None
        return found if same else None

    def put(self, name: str, model: ResolvedModel, state: str | None) -> None:
        """Keep what a name stands for.

        Parameters
        ----------
        name:
            As it was looked up.
        model:
            What was found.
        state:
            Of the database before it was looked up.
        """
        if state is None:
            return
        kept = self._kept()
        others = kept.models if kept and kept.state == state else {}
        content = _Kept(state=state, models={**others, name: model})
        with suppress(OSError, TaggerError), replacing(self._path) as file:
            file.write(content.model_dump_json(indent=1))

    def _kept(self) -> _Kept | None:
        try:
            return _Kept.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None
