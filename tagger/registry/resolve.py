"""Find and load a model by name, for commands, Python and workers alike."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tagger._util.atomic import replacing
from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError, missing_package
from tagger.labels import LabelStore
from tagger.model import MANIFEST_FILE, TaggerModel, default_cache, load_model, sha256_of
from tagger.registry.tag_run import log_recorded_runs
from tagger.registry.versions import CHAMPION, MODEL_NAME, Registry
from tagger.taxonomy import TAXONOMY_FILE
from tagger.training import bundled_encoder

if TYPE_CHECKING:
    from tagger.papers import Paper

_LOG = logging.getLogger(__name__)
_CACHE_FILE = "resolved_models.json"
SHIPPED = "shipped"
SHIPPED_NAME = f"local/{SHIPPED}-"
"""Start of the names of models that ship with tagger, before the start of their hash."""
_SHIPPED_FOLDER = Path(__file__).parents[1] / "default_model"
_RECORD_FILE = "training.json"
"""Next to the shipped model: what it was made from, its figures, and the hash of its manifest."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """The folder of a model's files, and its name if it is registered or ships with tagger."""

    folder: Path
    name: str | None = None


def load_model_by_name(
    name: str | Path, papers: Sequence[Paper] = (), progress: Progress = no_progress
) -> TaggerModel:
    """Load a model for use; no code in it is executed.

    ``name`` is a model folder; a label folder, for a zero-shot model of its tag definitions; a
    version in MLflow: its number (``7``, ``tagger/7``), an alias, the id of its training run; or
    ``shipped``, the model that ships with tagger. ``champion``, or ``tagger``, is the shipped model
    in a workspace without a champion. A zero-shot model uses ``papers``, the papers to tag, as a
    sample of typical papers. Raises a TaggerError if the model does not exist or is damaged, or a
    package that it needs is missing.
    """
    if is_label_folder(name):
        return _zero_shot_model(LabelStore(name), papers, progress)
    with TemporaryDirectory() as scratch:
        found = find_model_folder(name, Path(scratch))
        # With a cache the encoder is loaded lazily, so the folder must outlive this block.
        stays = Path(scratch) not in found.folder.parents
        return load_model(found.folder, found.name, default_cache() if stays else None)


def is_label_folder(name: str | Path) -> bool:
    """Return whether a name is the path of a folder with a taxonomy and without a model."""
    folder = Path(name)
    return (folder / TAXONOMY_FILE).is_file() and not (folder / MANIFEST_FILE).exists()


def find_model_folder(name: str | Path, scratch: Path) -> ModelFolder:
    """Return the folder of a saved model, of a version or of the shipped model.

    A version on a server is downloaded to ``scratch``. For a local store, MLflow's answers are
    cached in a file until the database changes, because importing MLflow takes longer than tagging
    a page. Raises a TaggerError if there is no such model.
    """
    folder = Path(name)
    if folder.is_dir():
        if is_label_folder(name):
            raise TaggerError(
                "is a label folder, not a saved model",
                path=folder,
                hint="Train a model first: tagger train",
            )
        if (folder / "config_setfit.json").exists():
            raise TaggerError(
                "is a SetFit checkpoint, whose head is a pickle that may run any code",
                path=folder,
                hint=f"Make it a version first: tagger train --from-setfit {name}",
            )
        if not (folder / MANIFEST_FILE).exists():
            raise TaggerError(f"is not a saved model: it has no {MANIFEST_FILE}", path=folder)
        return ModelFolder(folder)
    name = str(name)
    if is_shipped_name(name):
        return find_shipped_model(name)
    if name.startswith("local/"):
        raise TaggerError(
            f"'{name}' is the name of an unregistered model",
            hint="Give its folder with --model FOLDER; for a zero-shot model, give the label "
            "folder with the definitions",
        )
    registry = Registry()
    if registry.store.embedded and (cached := _cached_folder(registry, name)):
        return cached
    # Without MLflow, a store is taken to have versions.
    readable = not registry.store.exists or find_spec("mlflow") is not None
    if name in (CHAMPION, MODEL_NAME) and readable and not registry.versions():
        found = find_shipped_model()
        _LOG.info("there is no champion here: %s is used, which ships with tagger", found.name)
        return found
    if registry.store.embedded:
        return _look_up(registry, name)
    version = registry.find(name)
    return ModelFolder(registry.model_folder(version, scratch), version.name)


@dataclass(frozen=True, slots=True)
class ShippedModel(ModelFolder):
    """The model that ships with tagger, and the record of its training."""

    record: Mapping[str, Any] = field(default_factory=dict)


def is_shipped_name(name: str) -> bool:
    """Return whether a name is that of a model that ships with tagger."""
    return name == SHIPPED or name.startswith(SHIPPED_NAME)


def find_shipped_model(name: str = SHIPPED) -> ShippedModel:
    """Return the model that ships with tagger.

    Raises a TaggerError if there is none, it was changed, or it is not the one of ``name``.
    """
    reinstall = "Install tagger again, or train a model: tagger train"
    try:
        digest = sha256_of(_SHIPPED_FOLDER / MANIFEST_FILE)
        record = json.loads((_SHIPPED_FOLDER / _RECORD_FILE).read_bytes())
        unchanged = record["model"] == digest
    except FileNotFoundError as error:
        raise TaggerError(
            f"found no model '{CHAMPION}', and no model ships with this copy of tagger",
            hint="'tagger train' makes the first version",
        ) from error
    except (OSError, ValueError, TypeError, KeyError):
        unchanged = False
    if not unchanged:
        raise TaggerError(
            "the model that ships with tagger is damaged or was replaced",
            path=_SHIPPED_FOLDER,
            hint=reinstall,
        )
    found = ShippedModel(_SHIPPED_FOLDER, f"{SHIPPED_NAME}{digest[:12]}", record)
    if name not in (SHIPPED, found.name):
        raise TaggerError(
            f"'{name}' ships with another version of tagger; this one has {found.name}",
            hint=f"Name it with --model {SHIPPED}",
        )
    return found


def _look_up(registry: Registry, name: str) -> ModelFolder:
    """Look up a version in a local MLflow store and cache the answer in the store's folder."""
    log_recorded_runs(registry.store)
    state = registry.store.state()
    version = registry.find(name)
    found = ModelFolder(registry.model_folder(version), version.name)
    if state is not None:
        cached = _read_cache(registry)
        models = cached.get("models", {}) if cached.get("state") == state else {}
        manifest = sha256_of(found.folder / MANIFEST_FILE)
        # A store that is moved or copied keeps its own files.
        place = os.path.relpath(found.folder, registry.store.folder)
        models[f"{registry.model} {name}"] = {
            "place": place,
            "version": version.name,
            "manifest": manifest,
        }
        # The cache only saves time, so a failure to write it is ignored.
        with suppress(OSError, TaggerError), replacing(registry.store.folder / _CACHE_FILE) as file:
            json.dump({"state": state, "models": models}, file, indent=1)
    return found


def _cached_folder(registry: Registry, name: str) -> ModelFolder | None:
    """Return the cached folder of a name if neither the store nor the model has changed."""
    try:
        cached = _read_cache(registry)
        model = cached["models"][f"{registry.model} {name}"]
        folder = registry.store.folder / model["place"]
        unchanged = cached["state"] == registry.store.state()
        if unchanged and sha256_of(folder / MANIFEST_FILE) == model["manifest"]:
            return ModelFolder(folder, str(model["version"]))
    except (KeyError, TypeError, OSError):
        pass
    return None


def _read_cache(registry: Registry) -> dict[str, Any]:
    try:
        cached = json.loads((registry.store.folder / _CACHE_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    # Earlier versions of tagger wrote another format.
    return cached if isinstance(cached, dict) and isinstance(cached.get("state"), list) else {}


def _zero_shot_model(store: LabelStore, papers: Sequence[Paper], progress: Progress) -> TaggerModel:
    labels = len(store.labels())
    unused = f"; its {labels} labels are not used" if labels else ""
    _LOG.warning(
        f"{store.folder}: tagging zero-shot, from tag definitions only{unused}. The accuracy has "
        "not been measured: treat the tags as suggestions"
    )
    try:
        from tagger.model import model_of_definitions

        return model_of_definitions(
            store.taxonomy,
            papers,
            bundled_encoder(default_cache()),
            lambda done, total: progress("Encoding papers", done, total),
        )
    except ModuleNotFoundError as error:
        raise missing_package(error, "train") from error
