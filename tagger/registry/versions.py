"""Versions and their aliases: find one, load one, name the champion."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.evaluation import HeldOut
from tagger.model import MANIFEST_FILE, TaggerModel, load_model, sha256_of
from tagger.registry.held_out_table import from_table
from tagger.registry.store import Store
from tagger.taxonomy import TAXONOMY_FILE, Taxonomy, load_taxonomy, open_taxonomy

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

MODEL_NAME = "tagger"
CHAMPION = "champion"
CHALLENGER = "challenger"
FINGERPRINT = "tagger.fingerprint"
MODEL_DATA = "artifacts/model"
"""Where the data of a model are within an MLflow model."""
OUT_OF_FOLD = "out_of_fold"
LABELS = "labels"
HASH_OF = "sha256_"
"""Begins the parameters of a run that hold hashes of its files."""
_RUNS_AT_ONCE = 100
_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Version:
    """A registered model version; ``created`` is in milliseconds since 1970."""

    number: int
    run_id: str
    aliases: tuple[str, ...]
    created: int
    tags: dict[str, str]

    @property
    def name(self) -> str:
        """What the version is called in results, for example ``tagger/7``."""
        return f"{MODEL_NAME}/{self.number}"

    @property
    def fingerprint(self) -> str:
        """Hash of the labels, taxonomy and settings it was trained with."""
        return self.tags.get(FINGERPRINT, "")


class Registry:
    """The versions in the MLflow store of a workspace.

    Every method raises :class:`TaggerError` if the store cannot be read or written. The tracking
    URI is by default that of ``MLFLOW_TRACKING_URI``, or else ``mlruns/mlflow.db`` in this folder.
    """

    def __init__(self, tracking_uri: str | None = None) -> None:
        self.store = Store(tracking_uri)

    def champion(self) -> Version | None:
        """Return the version in use, or None if there is none yet."""
        return self._look_up(CHAMPION)

    def challenger(self) -> Version | None:
        """Return the version that waits to be promoted, or None."""
        return self._look_up(CHALLENGER)

    def find(self, name: str) -> Version:
        """Return the version of a number (``7``, ``tagger/7``), alias or run id."""
        if find_spec("mlflow") is None:
            raise TaggerError(
                f"'{name}' is no folder, and without MLflow no version can be looked up",
                hint="Give the folder of a model, or: pip install 'tagger[train]'",
            )
        # A store that is not there is not made for this.
        name_only = CHAMPION if name == MODEL_NAME else name.removeprefix(f"{MODEL_NAME}/")
        found = self._look_up(name_only) if self.store.exists else None
        if found is None:
            raise TaggerError(
                f"there is no model '{name}'",
                path=self.store.place,
                hint="Give a version such as 1, an alias such as champion, the id of a training "
                "run, or a model folder; 'tagger train' makes the first version",
            )
        return found

    def versions(self) -> list[Version]:
        """Return all versions, oldest first."""
        with self.store.reading() as client:
            found = client.search_model_versions(f"name = '{MODEL_NAME}'", max_results=10_000)
            known = sorted(found, key=lambda version: int(version.version))
            # The search leaves aliases out where the store is a database.
            model = client.search_registered_models(f"name = '{MODEL_NAME}'")
            aliases: dict[str, list[str]] = {}
            for alias, number in (model[0].aliases if model else {}).items():
                aliases.setdefault(str(number), []).append(alias)
            return [
                _as_version(version, aliases.get(str(version.version), [])) for version in known
            ]

    def run(self, version: Version) -> Run:
        """Return the MLflow run that made a version."""
        with self.store.reading() as client:
            return client.get_run(version.run_id)

    def runs(self, versions: Sequence[Version]) -> dict[str, Run]:
        """Return the MLflow runs that made versions, by id; those that are gone are left out."""
        from mlflow.entities import ViewType

        found: dict[str, Run] = {}
        with self.store.reading() as client:
            experiments = [each.experiment_id for each in client.search_experiments(ViewType.ALL)]
            for start in range(0, len(versions), _RUNS_AT_ONCE):
                ids = [f"'{v.run_id}'" for v in versions[start : start + _RUNS_AT_ONCE]]
                condition = f"attributes.run_id IN ({', '.join(ids)})"
                runs = client.search_runs(experiments, condition, ViewType.ALL, len(ids))
                found |= {run.info.run_id: run for run in runs}
        return found

    def load(self, version: Version) -> TaggerModel:
        """Load a version for use, raising as :meth:`model_folder` does."""
        with TemporaryDirectory() as scratch:
            # What is on this machine already is read in its place.
            folder = self.model_folder(version, None if self.store.embedded else Path(scratch))
            return load_model(folder, version.name)

    def model_folder(self, version: Version, target: Path | None = None) -> Path:
        """Return the folder of a version's model, copied below ``target`` if one is given.

        Raises a TaggerError if its artifacts are missing or were changed.
        """
        with self.store.reading(), self.store.current():
            import mlflow
            from mlflow.exceptions import MlflowException

            try:
                folder = mlflow.artifacts.download_artifacts(
                    artifact_uri=f"models:/{MODEL_NAME}/{version.number}/{MODEL_DATA}",
                    dst_path=None if target is None else str(target),
                )
            except (MlflowException, OSError) as error:
                raise TaggerError(
                    f"the model of {version.name} cannot be read from the artifact store "
                    f"({str(error).splitlines()[0]})",
                    path=self.store.place,
                    hint="If its files are gone, choose another version ('tagger history'), or "
                    "train again and 'tagger promote VERSION --force REASON'",
                ) from error
        self._check_hash(version, Path(folder) / MANIFEST_FILE)
        return Path(folder)

    def _check_hash(self, version: Version, path: Path) -> None:
        """Raise an error if a file is not the one that the run recorded, if it did."""
        recorded = self.run(version).data.params.get(f"{HASH_OF}{path.name}")
        if recorded is not None and path.is_file() and sha256_of(path) != recorded:
            raise TaggerError(
                f"is not the file that the run of {version.name} recorded",
                path=path,
                hint="The artifact store was changed: choose another version ('tagger history'), "
                "or train again",
            )

    def held_out(self, version: Version) -> dict[str, HeldOut]:
        """Return the out-of-fold predictions of a version per facet; an error if it has none."""
        with self.store.reading() as client, TemporaryDirectory() as scratch:
            import mlflow

            arrived = {item.path for item in client.list_artifacts(version.run_id, OUT_OF_FOLD)}
            taxonomy = load_taxonomy(self.label_folder(version, Path(scratch)) / TAXONOMY_FILE)
            place = client.get_run(version.run_id).info.artifact_uri
            found = {}
            for facet in taxonomy.facets:
                table = out_of_fold_file(facet.name)
                if table not in arrived:
                    raise TaggerError(
                        f"{version.name} was logged without its out-of-fold predictions",
                        path=self.store.place,
                        hint="Train again with 'tagger train'",
                    )
                with self.store.current():
                    content = mlflow.artifacts.load_dict(f"{place}/{table}")
                found[facet.name] = from_table(facet, content)
        return found

    def known_folds(self, folds: int) -> dict[str, int]:
        """Return which fold, from 0, the champion held each paper out in, if it had as many."""
        champion = self.champion()
        if champion is None or self.run(champion).data.params.get("folds") != str(folds):
            return {}
        try:
            return self.folds_of(champion)
        except TaggerError:
            return {}

    def folds_of(self, version: Version) -> dict[str, int]:
        """Return which fold, from 0, of a version held each paper out; raises as held_out does."""
        return {
            name: int(fold) - 1
            for table in self.held_out(version).values()
            for name, fold in zip(table.ids, table.folds, strict=True)
        }

    def label_folder(self, version: Version, target: Path) -> Path:
        """Copy the label folder that a version was trained on below ``target``."""
        with self.store.reading() as client:
            folder = Path(client.download_artifacts(version.run_id, LABELS, str(target)))
        for path in sorted(folder.iterdir()):
            self._check_hash(version, path)
        return folder

    def taxonomy(self, version: Version) -> Taxonomy:
        """Return the taxonomy that a version was trained for, former names included."""
        with TemporaryDirectory() as scratch:
            return open_taxonomy(self.label_folder(version, Path(scratch)), logging.DEBUG)

    def name_version(self, alias: str, version: Version) -> None:
        """Give an alias to a version; whichever had it loses it."""
        with self.store.writing() as client:
            client.set_registered_model_alias(MODEL_NAME, alias, str(version.number))

    def drop_alias(self, alias: str) -> None:
        """Take an alias from whichever version has it."""
        with self.store.writing() as client:
            client.delete_registered_model_alias(MODEL_NAME, alias)

    def note(self, version: Version, key: str, value: str) -> None:
        """Write a tag to a version."""
        with self.store.writing() as client:
            client.set_model_version_tag(MODEL_NAME, str(version.number), key, value)

    def _look_up(self, name: str) -> Version | None:
        from mlflow.exceptions import MlflowException

        with self.store.reading() as client:
            if _RUN_ID.fullmatch(name):
                found = client.search_model_versions(f"run_id = '{name}'")
                name = next((str(one.version) for one in found if one.name == MODEL_NAME), "0")
            by_number = name.isascii() and name.isdigit()
            look_up = client.get_model_version if by_number else client.get_model_version_by_alias
            try:
                registered = look_up(MODEL_NAME, name)
                if not registered.version:
                    raise MlflowException("the answer is no version")
            except MlflowException as error:
                # An unknown alias is an invalid parameter to MLflow, an unknown version not found.
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
            return _as_version(registered, registered.aliases or [])


def out_of_fold_file(facet: str) -> str:
    """Return where the out-of-fold predictions of a facet are within a run."""
    return f"{OUT_OF_FOLD}/{facet}.json"


def _as_version(registered: ModelVersion, aliases: list[str]) -> Version:
    return Version(
        number=int(registered.version),
        run_id=registered.run_id or "",
        aliases=tuple(sorted(aliases)),
        created=int(registered.creation_timestamp or 0),
        tags=dict(registered.tags),
    )
