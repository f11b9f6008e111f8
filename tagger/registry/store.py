"""The MLflow store of a workspace: where it is, how to reach it, what goes wrong with it."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
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
    # MLflow tells of each step of making its tables; a user wants to know of failures.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # A server that is gone is told of within a minute, not after MLflow's many.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}.items():
    # MLflow looks at them when it is loaded, which is always after this module.
    os.environ.setdefault(_name, _value)

_FLUENT = threading.RLock()
"""Held while MLflow's fluent functions, and the environment, speak of one store."""
_STORE_FOLDER = "mlruns"
_DATABASE = "mlflow.db"
_TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
_START = "tagger.start"
_LONGEST_REASON = 300
_REFUSALS = ("UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED")
_EXHAUSTED = re.compile(r"Max retries exceeded .*\(Caused by \w+\((.*)\)\)", re.DOTALL)


class Store:
    """An MLflow tracking store and model registry; ``tracking_uri`` is as for Registry."""

    def __init__(self, tracking_uri: str | None = None) -> None:
        with _FLUENT:
            given = tracking_uri or os.environ.get(_TRACKING_VARIABLE)
        self.folder = Path.cwd() / _STORE_FOLDER
        own = f"sqlite:///{self.folder / _DATABASE}"
        if given in (own, f"sqlite:///{_STORE_FOLDER}/{_DATABASE}"):
            given = None
        self._artifacts = (self.folder / "artifacts").as_uri()
        self.embedded = not given
        self.tracking_uri = given or own

    @property
    def place(self) -> str:
        """The tracking URI without a password, for messages."""
        return without_password(self.tracking_uri)

    @property
    def exists(self) -> bool:
        """Whether there is a store; one on a server is taken to be there."""
        return not self.embedded or (self.folder / _DATABASE).exists()

    def state(self) -> list[int] | None:
        """Return what is different after each change of an embedded store, if that can be told."""
        database = self.folder / _DATABASE
        # With a log of changes beside it, changes are not in the file itself.
        if not self.embedded or database.with_name(f"{_DATABASE}-wal").exists():
            return None
        try:
            status = database.stat()
        except OSError:
            return None
        return [status.st_size, status.st_mtime_ns]

    @contextmanager
    def reading(self) -> Iterator[MlflowClient]:
        """Give a client; a failure of MLflow or its database is told in a TaggerError of a line."""
        logging.getLogger("alembic").setLevel(logging.WARNING)
        # It writes a traceback of what is told in one line below.
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
            yield MlflowClient(self.tracking_uri, registry_uri=self.tracking_uri)
        except (MlflowException, ParseError, SQLAlchemyError, OSError) as error:
            raise self.unusable(error) from error

    @contextmanager
    def writing(self) -> Iterator[MlflowClient]:
        """Give a client to one process at a time, and the store to MLflow's fluent functions."""
        with self.reading() as client:
            writable = self.embedded and os.access(self.folder, os.W_OK)
            lock = exclusively(self.folder / _DATABASE) if writable else nullcontext()
            with lock, self.current():
                yield client

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this the store of MLflow's fluent functions, and leave no trace of it.

        MLflow writes the choice into the environment, where later stores would find it; so one
        thread at a time has it.
        """
        import mlflow

        with _FLUENT:
            before = os.environ.get(_TRACKING_VARIABLE)
            if before == self.tracking_uri == mlflow.get_tracking_uri():
                yield
                return
            mlflow.set_tracking_uri(self.tracking_uri)
            try:
                yield
            finally:
                mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
                if before is not None:
                    os.environ[_TRACKING_VARIABLE] = before

    @contextmanager
    def run(
        self, client: MlflowClient, experiment: str, name: str, description: str | None = None
    ) -> Iterator[ActiveRun]:
        """Start a run, of which MLflow's fluent functions speak while the block runs."""
        import mlflow

        tags = {_START: uuid4().hex}
        with mlflow.start_run(
            experiment_id=experiment, run_name=name, description=description, tags=tags
        ) as run:
            # MLflow repeats a request that a server did not answer, though it may have started one.
            if not self.embedded:
                mark = f"tags.`{_START}` = '{tags[_START]}'"
                for other in client.search_runs([experiment], mark):
                    if other.info.run_id != run.info.run_id:
                        client.delete_run(other.info.run_id)
            yield run

    def experiment_id(self, client: MlflowClient, name: str) -> str:
        """Return the id of an experiment, made if missing; an error if the store was moved."""
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(name)
        if found is None:
            location = self._artifacts if self.embedded else None
            try:
                return str(client.create_experiment(name, artifact_location=location))
            except MlflowException as error:
                # Another process may have made it just now.
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise error
        if self.embedded and found.artifact_location != self._artifacts:
            raise TaggerError(
                f"this store was made elsewhere and keeps its files in {found.artifact_location}",
                path=self.folder,
                hint=f"Move the folder back, or move {_STORE_FOLDER}/ away and train again",
            )
        return str(found.experiment_id)

    def unusable(self, error: Exception) -> TaggerError:
        """Say in one line what is wrong with the store, and what to do about it."""
        # What speaks of MLflow's ways, and the page that a gateway sent, are left out.
        lines = without_password(str(error)).strip().splitlines() or [type(error).__name__]
        reason = lines[0].split(" Response body: ")[0]
        if exhausted := _EXHAUSTED.search(lines[0]):
            reason = "it does not answer: " + exhausted[1].strip("'\"").rsplit(": ", 1)[-1]
        if len(reason) > _LONGEST_REASON:
            reason = reason[:_LONGEST_REASON] + " …"
        reason = reason.removesuffix(".")
        if "database schema" in reason:
            return TaggerError(
                "the MLflow store was made by another version of MLflow",
                path=self.place,
                hint=f"Copy it, then bring it up to date with: mlflow db upgrade {self.place}",
            )
        if "readonly database" in str(error):
            reason, hint = "it is read-only", "See that you have the right to write to it"
        elif "not a database" in str(error) or "malformed" in str(error):
            hint = f"The file is damaged: move {_STORE_FOLDER}/ away and train again"
        elif self.embedded:
            hint = f"See that {_STORE_FOLDER}/ is whole and that there is room"
        elif "CERTIFICATE_VERIFY_FAILED" in str(error):
            hint = (
                "Its certificate is not to be trusted; if it is signed by an authority of your "
                "own, set MLFLOW_TRACKING_SERVER_CERT_PATH to that one's certificate"
            )
        elif getattr(error, "error_code", None) in _REFUSALS or "error code 401" in reason:
            hint = (
                "See MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_TOKEN: it is missing, wrong, expired or revoked"
            )
        else:
            hint = (
                f"See that the server of {_TRACKING_VARIABLE} answers, then give the same "
                "command again"
            )
        return TaggerError(
            f"the MLflow store cannot be used ({reason})", path=self.place, hint=hint
        )

    def _make(self) -> None:
        """Make the database, whole or not at all: MLflow cannot finish one that was cut short."""
        from mlflow import MlflowClient

        database = self.folder / _DATABASE
        with exclusively(database):
            if not database.exists():
                with making(database) as place:
                    MlflowClient(f"sqlite:///{place}").search_experiments(max_results=1)
