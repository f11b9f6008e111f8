"""The registry of model versions: find a version, load it, set aliases and tags."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.evaluation import HeldOut
from tagger.model import MANIFEST_FILE, TaggerModel, load_model, sha256_of
from tagger.registry.held_out_table import from_model, from_table
from tagger.registry.store import Store
from tagger.taxonomy import TAXONOMY_FILE, load_taxonomy

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

_LOGGER = logging.getLogger(__name__)

MODEL_NAME = "tagger"
_MODEL_VARIABLE = "TAGGER_MODEL"
CHAMPION = "champion"
CHALLENGER = "challenger"
FINGERPRINT = "tagger.fingerprint"
MODEL_DATA = "artifacts/model"
"""Path of the model's files within an MLflow model."""
OUT_OF_FOLD = "out_of_fold"
MEASURED_FACETS = "measured_facets"
"""The run parameter that names the facets with out-of-fold predictions."""
LABELS = "labels"
TAXONOMY_NAME = "taxonomy"
"""The tag of the registered model that names the taxonomy of its versions."""
HIDDEN = "mlflow."
"""Prefix of the tags of a registered model that MLflow's pages do not show."""
HASH_OF = "sha256_"
"""Prefix of the run parameters that hold the hashes of its files."""
_RUNS_AT_ONCE = 100
_SHOWN_VERSIONS = 5
_RUN_NAME = "mlflow.runName"
_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Version:
    """A registered model version; ``created`` is in milliseconds since 1970.

    A run of a bake-off, which registers no model, has the number 0.
    """

    number: int
    run_id: str
    aliases: tuple[str, ...]
    created: int
    tags: dict[str, str]

    @property
    def name(self) -> str:
        """Name of the version in results, for example ``tagger/7``; of a run, its name."""
        return f"{MODEL_NAME}/{self.number}" if self.number else self.tags[_RUN_NAME]

    @property
    def fingerprint(self) -> str:
        """Hash of the labels, taxonomy and settings of its training."""
        return self.tags.get(FINGERPRINT, "")

    @property
    def foreign(self) -> bool:
        """Whether another program registered it."""
        return not self.fingerprint and LABELS not in self.tags


class DeletedRunError(TaggerError):
    """The run of a version was deleted for good; its model may still be there."""


class Registry:
    """The model versions in the MLflow store of a workspace.

    Every method raises :class:`TaggerError` if the store cannot be read or written. The default
    tracking URI is that of ``MLFLOW_TRACKING_URI``, or else ``mlruns/mlflow.db`` in the current
    folder.
    """

    def __init__(self, tracking_uri: str | None = None) -> None:
        self.store = Store(tracking_uri)
        self.model = os.environ.get(_MODEL_VARIABLE) or MODEL_NAME
        """Name of the registered model, which is that of one review on a server of several."""

    def champion(self) -> Version | None:
        """Return the champion, the version that tags by default, or None."""
        return self._look_up(CHAMPION)

    def challenger(self) -> Version | None:
        """Return the challenger, the newest version not yet promoted, or None."""
        return self._look_up(CHALLENGER)

    def find(self, name: str) -> Version:
        """Return the version with a number (``7``, ``tagger/7``), alias or run id.

        Raises a TaggerError if tagger made no such version or MLflow is not installed.
        """
        if find_spec("mlflow") is None:
            raise TaggerError(
                f"'{name}' is not a folder, and looking up a version needs MLflow",
                hint="Give the folder of a model, or: pip install 'tagger[train]'",
            )
        key = CHAMPION if name == MODEL_NAME else name.removeprefix(f"{MODEL_NAME}/")
        if found := self._look_up(key):
            return found
        raise self._unknown(name, key)

    def _unknown(self, name: str, key: str) -> TaggerError:
        """Describe the error of a name that no version has, and which versions there are."""
        versions = self.versions()
        problem, place = f"found no model '{name}'", f" in {self.store.place}"
        if not versions:
            hint = (
                "Give a version such as 1, an alias such as champion, the id of a training run, or "
                "a model folder; 'tagger train' makes the first version"
            )
            return TaggerError(problem + place, hint=hint)
        there = self.describe_versions()
        if key == CHAMPION:
            problem = "no version is the champion"
            there += ": choose one with 'tagger promote VERSION'"
        elif key == CHALLENGER:
            problem = "found no challenger"
            there += ": 'tagger train' makes the next, which is then the challenger"
        else:
            names = [alias for version in versions for alias in version.aliases]
            names += [CHAMPION, CHALLENGER, *(version.name for version in versions)]
            if close := get_close_matches(key, names, 1):
                there += f". Perhaps you meant '{close[0]}'"
        return TaggerError(problem + place, hint=there)

    def describe_versions(self) -> str:
        """Say which versions there are: those with an alias, and the newest."""
        versions = self.versions()
        chosen = [v for v in versions if v.aliases or v in versions[-_SHOWN_VERSIONS:]]
        shown = [" ".join([v.name, *(f"({alias})" for alias in v.aliases)]) for v in chosen]
        more = f" and {len(versions) - len(shown)} more" if len(versions) > len(shown) else ""
        return f"There {'are' if len(shown) > 1 else 'is'} {', '.join(shown)}{more}"

    def find_run(self, name: str) -> Version:
        """Return what :meth:`find` returns, or the run with an id that registered no version."""
        from mlflow.exceptions import MlflowException

        if not _RUN_ID.fullmatch(name) or not self.store.exists:
            return self.find(name)
        with self.store.reading() as client:
            try:
                run = client.get_run(name)
            except MlflowException:
                return self.find(name)
        registered = self._look_up(name)
        return registered or Version(0, name, (), run.info.start_time, dict(run.data.tags))

    def taxonomy_name(self) -> str | None:
        """Return the name of the taxonomy of the versions, or None if it is not known."""
        if not self.store.exists:
            return None
        with self.store.reading() as client:
            found = client.search_registered_models(f"name = '{self.model}'")
            return found[0].tags.get(TAXONOMY_NAME) if found else None

    def versions(self) -> list[Version]:
        """Return all versions that tagger registered, oldest first."""
        if not self.store.exists:
            return []
        with self.store.reading() as client:
            found = client.search_model_versions(f"name = '{self.model}'", max_results=10_000)
            # In a database store, this search returns versions without their aliases.
            models = client.search_registered_models(f"name = '{self.model}'")
        versions = [_as_version(one, model) for model in models for one in found]
        own = (version for version in versions if not version.foreign)
        return sorted(own, key=lambda version: version.number)

    def run(self, version: Version) -> Run:
        """Return the MLflow run that trained a version; raise DeletedRunError if it is gone."""
        from mlflow.exceptions import MlflowException

        with self.store.reading() as client:
            try:
                return client.get_run(version.run_id)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                raise DeletedRunError(
                    f"the run of {version.name} was deleted, and with it its labels and settings",
                    path=self.store.place,
                    hint="Its model may still tag; 'tagger train' makes a version with a run",
                ) from error

    def runs(self, versions: Sequence[Version]) -> dict[str, Run]:
        """Return the training runs of versions by run id, without runs deleted from the store."""
        from mlflow.entities import ViewType

        found: dict[str, Run] = {}
        with self.store.reading() as client:
            experiments = [e.experiment_id for e in client.search_experiments(ViewType.ALL, 10_000)]
            for start in range(0, len(versions), _RUNS_AT_ONCE):
                ids = [f"'{v.run_id}'" for v in versions[start : start + _RUNS_AT_ONCE]]
                condition = f"attributes.run_id IN ({', '.join(ids)})"
                runs = client.search_runs(experiments, condition, ViewType.ALL, len(ids))
                found |= {run.info.run_id: run for run in runs}
        return found

    def load(self, version: Version) -> TaggerModel:
        """Load a version for use; raises as :meth:`model_folder` does."""
        with TemporaryDirectory() as scratch:
            # Files of an embedded store are read in place, without a copy.
            folder = self.model_folder(version, None if self.store.embedded else Path(scratch))
            return load_model(folder, version.name)

    def model_folder(self, version: Version, target: Path | None = None) -> Path:
        """Return the folder of a version's model, copied into ``target`` if that is given.

        Raises a TaggerError if files are missing or do not match the recorded hash.
        """
        with self.store.reading(), self.store.current():
            import mlflow
            from mlflow.exceptions import MlflowException

            try:
                folder = mlflow.artifacts.download_artifacts(
                    artifact_uri=f"models:/{self.model}/{version.number}/{MODEL_DATA}",
                    dst_path=None if target is None else str(target),
                )
            except (MlflowException, OSError) as error:
                raise TaggerError(
                    f"the model of {version.name} cannot be read from the artifact store "
                    f"({str(error).splitlines()[0]})",
                    path=self.store.place,
                    hint="If its files were deleted, choose another version ('tagger history'), or "
                    "train again and run 'tagger promote VERSION --force REASON'",
                ) from error
        self._check_hash(version, Path(folder) / MANIFEST_FILE)
        return Path(folder)

    def _check_hash(self, version: Version, path: Path) -> None:
        """Raise a TaggerError if a file differs from the hash that its run recorded."""
        recorded = version.tags.get(f"{HASH_OF}{path.name}")
        if recorded is None:  # of the labels, and of models of earlier versions of tagger
            with suppress(DeletedRunError):
                recorded = self.run(version).data.params.get(f"{HASH_OF}{path.name}")
        if recorded is not None and path.is_file() and sha256_of(path) != recorded:
            raise TaggerError(
                f"is not the file that the run of {version.name} recorded",
                path=path,
                hint="The file was changed: choose another version ('tagger history'), or train "
                "again",
            )

    def held_out(self, version: Version) -> dict[str, HeldOut]:
        """Return the out-of-fold predictions of a version per facet with enough labels.

        If its run was deleted, they are those that its model carries. Raises a TaggerError if those
        of a facet are missing or cannot be read.
        """
        try:
            run = self.run(version)
        except DeletedRunError as error:
            _LOGGER.warning(f"{error.problem}; its predictions are taken from its model")
            return from_model(self.load(version))
        with self.store.reading() as client, TemporaryDirectory() as scratch:
            import mlflow

            missing = TaggerError(
                f"{version.name} was logged without its out-of-fold predictions",
                path=self.store.place,
                hint="Train again with 'tagger train'. For a bake-off, name the candidates' runs",
            )
            logged = {item.path for item in client.list_artifacts(version.run_id, OUT_OF_FOLD)}
            if not logged:
                raise missing
            taxonomy = load_taxonomy(self.label_folder(version, Path(scratch)) / TAXONOMY_FILE)
            # Runs of earlier versions have no such parameter and all facets.
            measured = run.data.params.get(MEASURED_FACETS, "").split(", ")
            found = {}
            for facet in taxonomy.facets:
                table = out_of_fold_file(facet.name)
                if table in logged:
                    with self.store.current():
                        content = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/{table}")
                    found[facet.name] = from_table(facet, content)
                elif facet.name in measured or measured == [""]:
                    raise missing
        return found

    def known_folds(self, folds: int) -> dict[str, int]:
        """Return the champion's fold of each paper, from 0.

        Warns, and returns nothing, if it has another number of folds or they cannot be read: the
        versions can then be compared only on papers that are new to the champion.
        """
        champion = self.champion()
        if champion is None:
            return {}
        try:
            found = self.run(champion).data.params.get("folds")
            problem = f"it has {found} folds instead of {folds}"
            if found == str(folds):
                return self.folds_of(champion)
        except TaggerError as error:
            problem = error.problem
        _LOGGER.warning(
            f"the folds of {champion.name} are not kept: {problem}. The gate compares the versions "
            "only on papers that are new to it"
        )
        return {}

    def folds_of(self, version: Version) -> dict[str, int]:
        """Return a version's fold of each paper id, from 0; raises as :meth:`held_out` does."""
        return {
            name: int(fold) - 1
            for table in self.held_out(version).values()
            for name, fold in zip(table.ids, table.folds, strict=True)
        }

    def label_folder(self, version: Version, target: Path) -> Path:
        """Copy the label folder that a version was trained on into ``target``; return the copy.

        Raises DeletedRunError if the run of the version was deleted.
        """
        self.run(version)
        with self.store.reading() as client:
            folder = Path(client.download_artifacts(version.run_id, LABELS, str(target)))
        for path in sorted(folder.iterdir()):
            self._check_hash(version, path)
        return folder

    def set_alias(self, alias: str, version: Version) -> None:
        """Give an alias to a version; the version that had it loses it."""
        with self.store.writing() as client:
            client.set_registered_model_alias(self.model, alias, str(version.number))

    def note(self, version: Version, key: str, value: str) -> None:
        """Set a tag of a version that MLflow's pages do not show.

        It is kept with the registered model: the table of versions shows all tags of versions.
        """
        with self.store.writing() as client:
            own = f"{HIDDEN}{version.run_id}.{key}"
            client.set_registered_model_tag(self.model, own, value)

    def _look_up(self, name: str) -> Version | None:
        if not self.store.exists:  # reading it would create it
            return None
        from mlflow.exceptions import MlflowException

        with self.store.reading() as client:
            if _RUN_ID.fullmatch(name):
                found = client.search_model_versions(f"run_id = '{name}'")
                name = next((str(one.version) for one in found if one.name == self.model), "0")
            by_number = name.isascii() and name.isdigit()
            look_up = client.get_model_version if by_number else client.get_model_version_by_alias
            try:
                registered = look_up(self.model, name)
                if not registered.version:
                    raise MlflowException("the answer is not a version")
                model = client.get_registered_model(self.model)
            except MlflowException as error:
                # MLflow reports an unknown alias as an invalid parameter.
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
        version = _as_version(registered, model)
        if version.foreign and by_number:
            raise TaggerError(f"another program registered {version.name}", path=self.store.place)
        return None if version.foreign else version


def out_of_fold_file(facet: str) -> str:
    """Return the artifact path of the out-of-fold predictions of a facet."""
    return f"{OUT_OF_FOLD}/{facet}.json"


def _as_version(registered: ModelVersion, model: RegisteredModel) -> Version:
    """Return a version with its aliases and notes, which the registered model keeps."""
    own, number = f"{HIDDEN}{registered.run_id}.", str(registered.version)
    notes = {key.removeprefix(own): model.tags[key] for key in model.tags if key.startswith(own)}
    return Version(
        number=int(number),
        run_id=registered.run_id or "",
        aliases=tuple(sorted(a for a, other in model.aliases.items() if str(other) == number)),
        created=int(registered.creation_timestamp or 0),
        tags={**registered.tags, **notes},
    )
