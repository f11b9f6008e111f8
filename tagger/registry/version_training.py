"""Train a version: settings, training and logging as one step."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tagger._util.progress import Progress
from tagger.errors import TaggerError
from tagger.labels import Label, LabelSnapshot, LabelStore, current_labels
from tagger.registry.resolve import find_shipped_model
from tagger.registry.training_run import (
    check_writable,
    encoder_origin,
    encoder_source,
    log_training,
    settings_of,
    updates_shipped_model,
)
from tagger.registry.version_comparison import compare_versions, log_comparison
from tagger.registry.versions import DeletedRunError, Registry, Version
from tagger.training import (
    WEIGHTS_FILE,
    TrainingResult,
    TrainingSettings,
    default_encoder_cache,
    train,
    update,
)

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainedVersion:
    """A version and the result of its training, None if it had been trained before."""

    version: Version
    result: TrainingResult | None


def train_version(
    registry: Registry,
    snapshot: LabelSnapshot,
    settings: TrainingSettings,
    progress: Progress,
    *,
    heads_only: bool = False,
    if_changed: bool = False,
) -> TrainedVersion:
    """Train a model on labels and register it as a new version.

    With ``heads_only`` the champion's encoder and settings are kept, and only heads and calibration
    are fitted; without a champion, or if the champion is itself such an update, the model that
    ships with tagger is updated. With ``if_changed`` the champion or challenger is returned if it
    was trained on the same labels, taxonomy and settings.

    Raises a TaggerError if there are too few labels, or MLflow cannot store the run. In the last
    case the model is kept in the current folder, and the hint names its place.
    """
    champion = registry.champion() if heads_only else None
    shipped = None
    if heads_only and (champion is None or updates_shipped_model(registry, champion)):
        shipped, champion = find_shipped_model(), None
        kept = {"folds": settings.folds, "seed": settings.seed, "encoder_of": shipped.name}
        settings = TrainingSettings(**{**shipped.record["settings"], **kept})
    elif champion:
        origin = encoder_origin(registry, champion)
        settings = replace(
            settings_of(registry, origin),
            trust_pickle=settings.trust_pickle,
            encoder_of=origin.name,
        )
    fingerprint = settings.fingerprint(snapshot.taxonomy, snapshot.labels)
    for version in (registry.champion(), registry.challenger()) if if_changed else ():
        if version and version.fingerprint == fingerprint:
            return TrainedVersion(version, None)
    check_taxonomy(registry, snapshot.taxonomy.name)
    check_writable(registry)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        inputs = snapshot.labels, snapshot.taxonomy, settings, folder / "model", progress
        known_folds = registry.known_folds(settings.folds)
        if shipped:
            result = update(shipped.folder, *inputs, known_folds=known_folds)
        else:
            result = train(
                *inputs,
                known_folds=known_folds,
                source=encoder_source(registry, champion, folder) if champion else None,
                cache=default_encoder_cache(),
                weights=folder / WEIGHTS_FILE,
            )
        progress("Logging to MLflow", 0, 1)
        with _kept_on_failure(result, fingerprint):
            version = log_training(registry, result, settings, snapshot)
        _compare_with_champion(registry, version, snapshot.folder)
        progress("Logging to MLflow", 1, 1)
    return TrainedVersion(version, result)


def check_taxonomy(registry: Registry, name: str) -> None:
    """Raise a TaggerError if a server has versions of another taxonomy; warn of them in mlruns/."""
    known = registry.taxonomy_name()
    if known in (None, name):
        return
    problem = f"the versions there belong to the taxonomy '{known}', these labels to '{name}'"
    hint = f"To keep them apart, set TAGGER_MODEL to another name than '{registry.model}'"
    if not registry.store.embedded:
        raise TaggerError(problem, path=registry.store.place, hint=hint)
    _LOGGER.warning(f"{problem}. {hint}")


def _compare_with_champion(registry: Registry, version: Version, labels: Path) -> None:
    """Log the comparison of a new version with the champion; only a notice tells of a failure."""
    champion = registry.champion()
    if champion is None or champion.number == version.number:
        return
    try:
        found = compare_versions(registry, champion, version, labels)
        log_comparison(registry, found, version)
    except TaggerError as error:
        _LOGGER.info(f"{version.name} was not compared with {champion.name}: {error}")
    else:
        _LOGGER.info(f"{version.name} against {champion.name}: {found.headline} (macro-F1)")


def count_new_corrections(store: LabelStore) -> int:
    """Count the current corrections from review that the newest version was not trained on."""
    registry = Registry()
    trained: set[tuple[str, datetime]] = set()
    for version in registry.versions()[-1:]:
        # Without the run, all count.
        with TemporaryDirectory() as scratch, suppress(DeletedRunError):
            folder = registry.label_folder(version, Path(scratch))
            trained = _annotations(LabelStore(folder).original_labels())
    return len(_annotations(current_labels(store.original_labels())) - trained)


def _annotations(labels: Iterable[Label]) -> set[tuple[str, datetime]]:
    """Return the annotations that labels come from, with the times of their last changes."""
    return {(one.origin.annotation, one.origin.updated) for one in labels if one.origin}


@contextmanager
def _kept_on_failure(result: TrainingResult, fingerprint: str) -> Iterator[None]:
    """Keep a trained model in the current folder if it does not arrive in MLflow."""
    try:
        yield
    except BaseException as error:
        kept = Path(f"tagger-model-{fingerprint[:12]}")
        try:
            shutil.copytree(result.folder, kept, dirs_exist_ok=True)
        except OSError:
            raise error from None
        note = f"the model is kept in {kept}, which 'tagger tag --model' takes"
        if not isinstance(error, TaggerError):
            _LOGGER.warning(note)
            raise
        hint = f"{error.hint}; {note}" if error.hint else note[0].upper() + note[1:]
        raise TaggerError(error.problem, path=error.path, hint=hint) from error
