"""The MLflow store of a workspace: its location, clients for it, and its error messages."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from tagger._util.atomic import exclusively, making
from tagger.errors import TaggerError, without_password

if TYPE_CHECKING:
    from mlflow import ActiveRun, MlflowClient

for _name, _value in {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow logs each step of creating its tables; only failures matter to a user.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # With MLflow's defaults it takes many minutes to report that a server is gone.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}.items():
    # MLflow reads them when it is imported, which is always after this module.
    os.environ.setdefault(_name, _value)

_LOGGER = logging.getLogger(__name__)
_FLUENT = threading.RLock()
"""Held while MLflow's fluent API and the environment point to one store."""
_STORE_FOLDER = "mlruns"
_DATABASE = "mlflow.db"
_ARTIFACTS = "artifacts"
_TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
_REGISTRY_VARIABLE = "MLFLOW_REGISTRY_URI"
_START_TAG = "mlflow.tagger.start"
_LONGEST_REASON = 300
_CREDENTIALS = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_PLACES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
"""The tables and columns of MLflow's database that hold the places of files."""
_EXHAUSTED = re.compile(r"Max retries exceeded .*\(Caused by \w+\((.*)\)\)", re.DOTALL)


class Store:
    """An MLflow tracking store and model registry; ``tracking_uri`` is as for Registry.

    ``embedded`` tells whether it is the workspace's own store in ``mlruns/``.
    """

    def __init__(self, tracking_uri: str | None = None) -> None:
        with _FLUENT:
            uri = (tracking_uri or os.environ.get(_TRACKING_VARIABLE, "")).strip()
        self.folder = Path.cwd() / _STORE_FOLDER
        own = f"sqlite:///{self.folder / _DATABASE}"
        self.embedded = uri in ("", own, f"sqlite:///{_STORE_FOLDER}/{_DATABASE}")
        self.tracking_uri = own if self.embedded else uri
        self._artifacts = (self.folder / _ARTIFACTS).as_uri()

    @property
    def place(self) -> str:
        """The tracking URI without a password, for messages."""
        return without_password(self.tracking_uri)

    @property
    def exists(self) -> bool:
        """Whether the store exists; a store on a server is assumed to exist."""
        return not self.embedded or (self.folder / _DATABASE).exists()

    def state(self) -> list[int] | None:
        """Return size and time of change (ns) of an embedded database, or None if unknown."""
        database = self.folder / _DATABASE
        # With a write-ahead log, recent changes are not in the database file.
        if not self.embedded or database.with_name(f"{_DATABASE}-wal").exists():
            return None
        try:
            status = database.stat()
        except OSError:
            return None
        return [status.st_size, status.st_mtime_ns]

    @contextmanager
    def reading(self) -> Iterator[MlflowClient]:
        """Provide a client; raise errors of MLflow and its database as a one-line TaggerError."""
        logging.getLogger("alembic").setLevel(logging.WARNING)
        # It logs a traceback of errors that are raised below anyway.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        try:
            if self.embedded:
                self.folder.mkdir(parents=True, exist_ok=True)
            from google.protobuf.json_format import ParseError
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
            from sqlalchemy.exc import SQLAlchemyError
        except OSError as error:
            raise self.unusable(error) from error
        try:
            if not self.exists:
                self._make()
            self._relocate()
            try:
                client = MlflowClient(self.tracking_uri, registry_uri=self.tracking_uri)
            except ModuleNotFoundError as error:
                hint = "Install the Python package that databases of this kind need"
                raise TaggerError(
                    f"the MLflow store cannot be used ({error})", path=self.place, hint=hint
                ) from error
            yield client
        except (MlflowException, ParseError, SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise self.unusable(error) from error

    @contextmanager
    def writing(self) -> Iterator[MlflowClient]:
        """Provide a client to one process at a time; MLflow's fluent API uses this store."""
        with self.reading() as client:
            writable = self.embedded and os.access(self.folder, os.W_OK)
            lock = exclusively(self.folder / _DATABASE) if writable else nullcontext()
            with lock, self.current():
                yield client

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make MLflow's fluent API use this store within the block, one thread at a time.

        MLflow writes both URIs into the environment; it is restored afterwards.
        """
        import mlflow

        names = (_TRACKING_VARIABLE, _REGISTRY_VARIABLE)
        with _FLUENT:
            before = {name: os.environ.get(name) for name in names}
            uris = {*before.values(), mlflow.get_tracking_uri(), mlflow.get_registry_uri()}
            if uris == {self.tracking_uri}:
                yield
                return
            mlflow.set_tracking_uri(self.tracking_uri)
            mlflow.set_registry_uri(self.tracking_uri)
            try:
                yield
            finally:
                mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
                mlflow.set_registry_uri(None)  # type: ignore[arg-type]
                for name, uri in before.items():
                    os.environ.pop(name, None)
                    if uri is not None:
                        os.environ[name] = uri

    @contextmanager
    def run(
        self,
        client: MlflowClient,
        experiment: str,
        name: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        seconds: float = 0,
    ) -> Iterator[ActiveRun]:
        """Start a run that is active for MLflow's fluent API within the block.

        Its start time is ``seconds`` ago, when the work began.
        """
        import mlflow
        from mlflow.tracking.context.registry import resolve_tags
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

        noted = {MLFLOW_RUN_NOTE: description} if description else {}
        tags = resolve_tags({**(tags or {}), **noted, _START_TAG: uuid4().hex})
        began = int(1000 * (time.time() - seconds))
        created = client.create_run(experiment, began, dict(tags), name).info.run_id
        with warnings.catch_warnings(), mlflow.start_run(created) as run:
            # They are of deprecations in pandas and in MLflow, which SetFit turns on for all.
            warnings.simplefilter("ignore")
            # MLflow repeats an unanswered request, though the server may have started a run.
            if not self.embedded:
                same_start = f"tags.`{_START_TAG}` = '{tags[_START_TAG]}'"
                for other in client.search_runs([experiment], same_start):
                    if other.info.run_id != run.info.run_id:
                        client.delete_run(other.info.run_id)
            yield run

    def experiment_id(self, client: MlflowClient, name: str) -> str:
        """Return the id of an experiment, created if missing; errors are those of MLflow."""
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(name)
        if found is None:
            location = self._artifacts if self.embedded else None
            try:
                return str(client.create_experiment(name, artifact_location=location))
            except MlflowException as error:
                # Another process may have created it just now.
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise error
        if found.lifecycle_stage == "deleted":
            restore = f"mlflow experiments restore --experiment-id {found.experiment_id}"
            raise TaggerError(
                f"the experiment '{name}' was deleted in MLflow",
                path=self.place,
                hint=f"Restore it: {_TRACKING_VARIABLE}={self.place} {restore}",
            )
        return str(found.experiment_id)

    def unusable(self, error: Exception) -> TaggerError:
        """Describe an error of the store in one line, with a hint."""
        # Only the first line is useful, without the page that a gateway sent.
        lines = without_password(str(error)).strip().splitlines() or [type(error).__name__]
        reason = lines[0].split(" Response body: ")[0]
        if exhausted := _EXHAUSTED.search(lines[0]):
            reason = "it does not answer: " + exhausted[1].strip("'\"").rsplit(": ", 1)[-1]
        if len(reason) > _LONGEST_REASON:
            reason = reason[:_LONGEST_REASON] + " …"
        reason, code = reason.removesuffix("."), getattr(error, "error_code", None)
        if "database schema" in reason:
            return TaggerError(
                "the MLflow store was created by another version of MLflow",
                path=self.place,
                hint=f"Make a copy, then run: mlflow db upgrade {self.place}",
            )
        if "readonly database" in str(error) or isinstance(error, PermissionError):
            reason, hint = "it is read-only", "Check that you have write permission"
        elif "database is locked" in str(error):
            reason = "another program is writing to it"
            hint = "Wait until that is done, or end it, and give the command again"
        elif "not a database" in str(error) or "malformed" in str(error):
            hint = f"The file is damaged: move {_STORE_FOLDER}/ away and train again"
        elif self.embedded:
            hint = f"Check that {_STORE_FOLDER}/ is complete and that the disk is not full"
        elif "CERTIFICATE_VERIFY_FAILED" in str(error):
            hint = (
                "The server's certificate is not trusted; if your own authority signed it, set "
                "MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate of that authority"
            )
        elif code == "PERMISSION_DENIED" or "403 Client Error" in reason:
            hint = f"Ask for this permission there, or use another account: set {_CREDENTIALS}"
        elif code in ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED") or "error code 401" in reason:
            hint = f"The credentials are missing, wrong, expired or revoked: check {_CREDENTIALS}"
        elif "://" not in self.tracking_uri or self.tracking_uri.startswith("file:"):
            reason = "it is neither a server nor a database"
            hint = f"{_TRACKING_VARIABLE} begins with http://, https:// or sqlite:///"
        else:
            hint = (
                f"Check that the server of {_TRACKING_VARIABLE} answers, then run the same "
                "command again"
            )
        return TaggerError(
            f"the MLflow store cannot be used ({reason})", path=self.place, hint=hint
        )

    def _relocate(self) -> None:
        """Let an embedded store that was moved or copied here use the files next to its database.

        MLflow keeps absolute paths; those of the former place are replaced. Raises a TaggerError if
        the files were left there, or the database cannot be written to.
        """
        database = self.folder / _DATABASE
        if not self.embedded or not database.exists():
            return
        ending = f"/{_STORE_FOLDER}/{_ARTIFACTS}"
        with closing(sqlite3.connect(database)) as connection:
            former: list[str] = []
            # Of a database that is damaged or of another version, MLflow says more.
            with suppress(sqlite3.Error):
                known = connection.execute("SELECT DISTINCT artifact_location FROM experiments")
                former = [place for (place,) in known if str(place).endswith(ending)]
            former = [place for place in former if place != self._artifacts]
            if not former:
                return
            if not (self.folder / _ARTIFACTS).exists():
                raise TaggerError(
                    f"this store was moved without its files, which were in {former[0]}",
                    path=self.folder,
                    hint=f"Move that folder here, too, or move {_STORE_FOLDER}/ away and train "
                    "again",
                )
            with connection:
                for place in former:
                    for table, column in _PLACES.items():
                        connection.execute(
                            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                            f"WHERE {column} = ? OR instr({column}, ? || '/') = 1",
                            (self._artifacts, len(place) + 1, place, place),
                        )
        _LOGGER.info("%s: the store was moved or copied here from %s", self.folder, former[0])

    def _make(self) -> None:
        """Create the database atomically: MLflow cannot use one that is incomplete."""
        from mlflow import MlflowClient

        database = self.folder / _DATABASE
        with exclusively(database):
            if not database.exists():
                with making(database) as place:
                    MlflowClient(f"sqlite:///{place}").search_experiments(max_results=1)
