"""Model versions in MLflow: what each was trained on, how good it is, and which one is in use.

Without ``MLFLOW_TRACKING_URI`` everything is kept in ``mlruns/`` of the current folder: a SQLite
store and the artifacts beside it. A version becomes visible only when all of it has been logged,
and champion only after that.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.labels import Label, LabelStore
from tagger.model import MANIFEST_FILE, TaggerModel, load_model
from tagger.plots import confusion_matrix_figure
from tagger.training import TrainingResult, TrainingSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MODEL_NAME = "tagger"
CHAMPION = "champion"
_EXPERIMENT = "tagger"
_MODEL_ARTIFACT = "model"
_OUT_OF_FOLD = "out_of_fold.json"
_FINGERPRINT_TAG = "tagger.fingerprint"
_STORE_FOLDER = "mlruns"
_TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"


@dataclass(frozen=True, slots=True)
class Version:
    """A registered model version.

    Parameters
    ----------
    number:
        Its number, from 1.
    run_id:
        The MLflow run that made it.
    fingerprint:
        Hash of the labels, taxonomy and settings it was trained with.
    location:
        Where its artifacts are, a path or URI.
    """

    number: int
    run_id: str
    fingerprint: str
    location: str

    @property
    def name(self) -> str:
        """What the version is called in results, for example ``tagger/7``."""
        return f"{MODEL_NAME}/{self.number}"


class Registry:
    """The MLflow tracking store and model registry of a workspace.

    Parameters
    ----------
    tracking_uri:
        An MLflow tracking URI; by default that of ``MLFLOW_TRACKING_URI``, or else
        ``mlruns/mlflow.db`` in the current folder.

    Raises
    ------
    TaggerError
        From every method, if the store cannot be read or written.
    """

    def __init__(self, tracking_uri: str | None = None) -> None:
        given = tracking_uri or os.environ.get(_TRACKING_VARIABLE)
        folder = Path.cwd() / _STORE_FOLDER
        self._embedded = not given
        self.tracking_uri = given or f"sqlite:///{folder / 'mlflow.db'}"
        self._artifacts = (folder / "artifacts").as_uri()
        self._store_folder = folder

    def champion(self) -> Version | None:
        """Return the version in use, or None if there is none yet."""
        return self._by_alias(CHAMPION)

    def find(self, name: str) -> Version:
        """Return the version of that number (``7`` or ``tagger/7``) or alias.

        Raises
        ------
        TaggerError
            Also if there is no such version.
        """
        wanted = name.removeprefix(f"{MODEL_NAME}/")
        if wanted.isascii() and wanted.isdigit():
            found = self._by_number(wanted)
        else:
            found = self._by_alias(wanted)
        if found is None:
            raise TaggerError(
                f"there is no model '{name}'",
                path=self.tracking_uri,
                hint="Give a version such as 1, an alias such as champion, or a model folder; "
                "'tagger train' makes the first version",
            )
        return found

    def load(self, version: Version) -> TaggerModel:
        """Load a version for use.

        Raises
        ------
        TaggerError
            Also if its artifacts are missing or were changed.
        """
        with self._client():
            import mlflow

            folder = mlflow.artifacts.download_artifacts(
                artifact_uri=version.location, tracking_uri=self.tracking_uri
            )
        return load_model(folder, version.name)

    def out_of_fold(self, version: Version) -> dict[str, dict[str, list[float]]]:
        """Return what a version's cross-validation said of the labels it was trained on.

        Returns
        -------
        dict
            Per facet and paper id, the calibrated probability of each tag in the order of the
            model's taxonomy, from a fold that had not seen the paper.

        Raises
        ------
        TaggerError
            Also if the version was logged without them.
        """
        with self._client() as client:
            import mlflow

            arrived = {item.path for item in client.list_artifacts(version.run_id)}
            if _OUT_OF_FOLD not in arrived:
                raise TaggerError(
                    f"{version.name} was logged without its out-of-fold predictions",
                    path=self.tracking_uri,
                    hint="Train again with 'tagger train'",
                )
            uri = f"{client.get_run(version.run_id).info.artifact_uri}/{_OUT_OF_FOLD}"
            with self._current_store():
                content: dict[str, dict[str, list[float]]] = mlflow.artifacts.load_dict(uri)
        return content

    def log(
        self,
        result: TrainingResult,
        settings: TrainingSettings,
        store: LabelStore,
        labels: list[Label],
        alias: str,
    ) -> Version:
        """Log a training run, register its model as a new version and give it an alias.

        The alias comes last: until then nothing points to the version.

        Parameters
        ----------
        result, settings:
            What came out, and how.
        store, labels:
            What it was trained on.
        alias:
            ``"champion"`` or ``"challenger"``.
        """
        fingerprint = settings.fingerprint(store.taxonomy, labels)
        with self._client() as client:
            import mlflow

            with (
                self._current_store(),
                mlflow.start_run(experiment_id=self._experiment_id(client)) as run,
            ):
                self._log_inputs(store, labels, settings, fingerprint)
                mlflow.log_metrics({**result.metrics, "training_seconds": result.seconds})
                for data in result.out_of_fold:
                    figure = confusion_matrix_figure(data.facet, data.truth, data.probabilities)
                    mlflow.log_figure(figure, f"confusion_matrix/{data.facet.name}.png")
                mlflow.log_dict(_out_of_fold(result, labels), _OUT_OF_FOLD)
                mlflow.log_artifacts(str(result.folder), _MODEL_ARTIFACT)
            self._check_uploaded(client, run.info.run_id)
            try:
                client.get_registered_model(MODEL_NAME)
            except mlflow.exceptions.MlflowException:
                client.create_registered_model(MODEL_NAME)
            registered = client.create_model_version(
                MODEL_NAME,
                source=f"{run.info.artifact_uri}/{_MODEL_ARTIFACT}",
                run_id=run.info.run_id,
                tags={_FINGERPRINT_TAG: fingerprint, "taxonomy": store.taxonomy.version},
            )
            client.set_registered_model_alias(MODEL_NAME, alias, registered.version)
            return _as_version(registered)

    @contextmanager
    def _current_store(self) -> Iterator[None]:
        """Make this the store of MLflow's fluent functions, and leave no trace of it.

        MLflow writes the choice into the environment, where later stores would find it.
        """
        import mlflow

        before = os.environ.get(_TRACKING_VARIABLE)
        mlflow.set_tracking_uri(self.tracking_uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
            if before is not None:
                os.environ[_TRACKING_VARIABLE] = before

    def _check_uploaded(self, client: MlflowClient, run_id: str) -> None:
        """Never register a version whose model did not arrive: MLflow is silent on an empty one."""
        arrived = {item.path for item in client.list_artifacts(run_id, _MODEL_ARTIFACT)}
        if f"{_MODEL_ARTIFACT}/{MANIFEST_FILE}" not in arrived:
            raise TaggerError(
                f"the model of run {run_id} did not reach the artifact store",
                path=self.tracking_uri,
                hint="See that there is room and the right to write, then train again",
            )

    def _log_inputs(
        self,
        store: LabelStore,
        labels: list[Label],
        settings: TrainingSettings,
        fingerprint: str,
    ) -> None:
        import mlflow
        import pandas as pd
        from mlflow.data.pandas_dataset import from_pandas

        mlflow.log_params(asdict(settings))
        mlflow.set_tags({_FINGERPRINT_TAG: fingerprint, "taxonomy": store.taxonomy.version})
        mlflow.set_tags({f"sha256.{name}": value for name, value in store.hashes().items()})
        counts: dict[str, float] = {"labels": len(labels)}
        for facet in store.taxonomy.facets:
            for tag in facet.tag_names:
                key = f"{facet.name}/labels/{tag}"
                counts[key] = sum(tag in label.tags.get(facet.name, ()) for label in labels)
        mlflow.log_metrics(counts)
        for path in store.files:
            mlflow.log_artifact(str(path), "labels")
        table = pd.DataFrame(
            [
                {
                    "id": label.id,
                    "title": label.title,
                    "text": label.text,
                    **{facet: "; ".join(tags) for facet, tags in label.tags.items()},
                }
                for label in labels
            ]
        )
        with warnings.catch_warnings():
            # MLflow's own: two of its sources take a local folder, and pandas deprecations.
            warnings.simplefilter("ignore")
            dataset = from_pandas(table, source=str(store.folder), name="labels")
        mlflow.log_input(dataset, context="training")

    def _experiment_id(self, client: MlflowClient) -> str:
        found = client.get_experiment_by_name(_EXPERIMENT)
        if found is not None:
            if self._embedded and found.artifact_location != self._artifacts:
                raise TaggerError(
                    f"this store was made elsewhere and keeps its files in "
                    f"{found.artifact_location}",
                    path=self._store_folder,
                    hint=f"Move the folder back, or move {_STORE_FOLDER}/ away and train again",
                )
            return str(found.experiment_id)
        location = self._artifacts if self._embedded else None
        return str(client.create_experiment(_EXPERIMENT, artifact_location=location))

    def _by_alias(self, alias: str) -> Version | None:
        with self._client() as client:
            return _found(lambda: client.get_model_version_by_alias(MODEL_NAME, alias))

    def _by_number(self, number: str) -> Version | None:
        with self._client() as client:
            return _found(lambda: client.get_model_version(MODEL_NAME, number))

    @contextmanager
    def _client(self) -> Iterator[MlflowClient]:
        """Give a client, and turn what goes wrong in MLflow or its database into one line."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # MLflow tells of each step of making its tables; a user wants to know of failures.
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        logging.getLogger("alembic").setLevel(logging.WARNING)
        try:
            if self._embedded:
                self._store_folder.mkdir(parents=True, exist_ok=True)
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
            from sqlalchemy.exc import SQLAlchemyError
        except OSError as error:
            raise self._unusable(error) from error
        try:
            yield MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> TaggerError:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        hint = f"See that the server of {_TRACKING_VARIABLE} answers"
        if self._embedded:
            hint = f"If the store is damaged, move {_STORE_FOLDER}/ away and train again"
        return TaggerError(
            f"the MLflow store cannot be used ({reason})", path=self.tracking_uri, hint=hint
        )


def _out_of_fold(result: TrainingResult, labels: list[Label]) -> dict[str, dict[str, list[float]]]:
    return {
        data.facet.name: {
            labels[row].id: [round(float(p), 6) for p in chances]
            for row, chances in zip(data.rows, data.probabilities, strict=True)
        }
        for data in result.out_of_fold
    }


def _found(look_up: Callable[[], ModelVersion]) -> Version | None:
    from mlflow.exceptions import MlflowException

    try:
        return _as_version(look_up())
    except MlflowException as error:
        # An unknown alias is an invalid parameter to MLflow, an unknown version is not found.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _as_version(registered: ModelVersion) -> Version:
    return Version(
        number=int(registered.version),
        run_id=registered.run_id or "",
        fingerprint=registered.tags.get(_FINGERPRINT_TAG, ""),
        location=registered.source or "",
    )
