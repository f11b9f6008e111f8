"""Find and load a model by name: one way for commands, Python and workers."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tagger._util.atomic import replacing
from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError, missing_package
from tagger.labels import LabelStore
from tagger.model import MANIFEST_FILE, TaggerModel, default_cache, load_model, sha256_of
from tagger.registry.versions import Registry
from tagger.taxonomy import TAXONOMY_FILE
from tagger.training import bundled_encoder

if TYPE_CHECKING:
    from tagger.papers import Paper

_LOG = logging.getLogger(__name__)
_KNOWN_FILE = "resolved_models.json"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """Where the data of a model are, and its version if it is a registered one."""

    folder: Path
    version: str | None = None


def load_model_by_name(
    name: str | Path,
    papers: Sequence[Paper] = (),
    progress: Progress = no_progress,
) -> TaggerModel:
    """Load a model for use; nothing in it is executed.

    Parameters
    ----------
    name:
        A model's folder; a label folder, whose definitions alone tell the tags then; or a version
        in MLflow: its number (``7``, ``tagger/7``), an alias (``champion``), the id of its training
        run, or ``tagger`` for the champion.
    papers:
        What a model of definitions is wanted for: they show it what a typical paper is.
    progress:
        Called with the stage, steps done and steps in all.

    Raises
    ------
    TaggerError
        If there is no such model, it is damaged, or a package that it needs is missing.
    """
    if is_label_folder(name):
        return _model_of_definitions(LabelStore(name), papers, progress)
    with TemporaryDirectory() as scratch:
        found = find_model_folder(name, Path(scratch))
        # With a cache the encoder is loaded when it is needed, so the folder has to stay.
        stays = Path(scratch) not in found.folder.parents
        return load_model(found.folder, found.version, default_cache() if stays else None)


def is_label_folder(name: str | Path) -> bool:
    """Tell whether a name is that of a folder with a taxonomy and no model."""
    folder = Path(name)
    return (folder / TAXONOMY_FILE).is_file() and not (folder / MANIFEST_FILE).exists()


def find_model_folder(name: str | Path, scratch: Path) -> ModelFolder:
    """Return the folder of a saved model, or of a version, copied to ``scratch`` from a server.

    What MLflow says of a name is kept beside the database of a store on this machine, and holds
    until that is written to: loading MLflow takes longer than tagging a page.
    """
    if Path(name).is_dir():
        if is_label_folder(name):
            raise TaggerError(
                "is a label folder, not a saved model",
                path=Path(name),
                hint="Train one first: tagger train",
            )
        return ModelFolder(Path(name))
    name = str(name)
    if name.startswith("local/"):
        raise TaggerError(
            f"'{name}' is the name of an unregistered model",
            hint="Give its folder with --model FOLDER; for a model of definitions, the label "
            "folder that they are in",
        )
    registry = Registry()
    if not registry.store.embedded:
        version = registry.find(name)
        return ModelFolder(registry.model_folder(version, scratch), version.name)
    return _known_folder(registry, name) or look_up(registry, name)


def look_up(registry: Registry, name: str) -> ModelFolder:
    """Ask MLflow for a version in a store on this machine, and keep the answer beside it."""
    state = registry.store.state()
    version = registry.find(name)
    found = ModelFolder(registry.model_folder(version), version.name)
    if state is not None:
        known = _read_known(registry)
        models = known.get("models", {}) if known.get("state") == state else {}
        manifest = sha256_of(found.folder / MANIFEST_FILE)
        models[name] = {"folder": str(found.folder), "version": version.name, "manifest": manifest}
        # It saves time, no more.
        with suppress(OSError, TaggerError), replacing(registry.store.folder / _KNOWN_FILE) as file:
            json.dump({"state": state, "models": models}, file, indent=1)
    return found


def _known_folder(registry: Registry, name: str) -> ModelFolder | None:
    """Return what was kept of a name, if the store and the model are as they were then."""
    try:
        known = _read_known(registry)
        model = known["models"][name]
        folder = Path(model["folder"])
        fits = known["state"] == registry.store.state()
        if fits and sha256_of(folder / MANIFEST_FILE) == model["manifest"]:
            return ModelFolder(folder, str(model["version"]))
    except (KeyError, TypeError, OSError):
        pass
    return None


def _read_known(registry: Registry) -> dict[str, Any]:
    try:
        known = json.loads((registry.store.folder / _KNOWN_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    # Earlier versions of tagger kept something else in it.
    return known if isinstance(known, dict) and isinstance(known.get("state"), list) else {}


def _model_of_definitions(
    store: LabelStore, papers: Sequence[Paper], progress: Progress
) -> TaggerModel:
    labels = len(store.labels())
    unused = f", and its {labels} labels are not used" if labels else ""
    _LOG.warning(
        f"{store.folder}: tags are told by their definitions alone{unused}; how right they are, "
        "nobody has measured: take them for suggestions"
    )
    try:
        from tagger.model import model_of_definitions

        return model_of_definitions(
            store.taxonomy,
            papers,
            bundled_encoder(default_cache()),
            lambda done, total: progress("Reading papers", done, total),
        )
    except ModuleNotFoundError as error:
        raise missing_package(error, "train") from error
