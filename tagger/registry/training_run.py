"""Log a training run to MLflow and register its model; read settings and labels of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tagger._util.rendering import render
from tagger.errors import TaggerError
from tagger.evaluation import (
    SHOWN_METRICS,
    UNKNOWN,
    HeldOut,
    confusion_matrix_figure,
    evaluate_samples,
    reliability_figure,
    split_samples,
)
from tagger.labels import LabelSnapshot
from tagger.model import MANIFEST_FILE, MODEL_FILES, ReviewRule, expected_review_share
from tagger.registry.held_out_table import to_table
from tagger.registry.history import describe_model
from tagger.registry.metric_names import held_out_metrics
from tagger.registry.mlflow_model import log_model
from tagger.registry.predictions import training_data
from tagger.registry.promotion import record_promotion
from tagger.registry.resolve import SHIPPED_NAME
from tagger.registry.versions import (
    CHALLENGER,
    CHAMPION,
    FINGERPRINT,
    HASH_OF,
    LABELS,
    MEASURED_FACETS,
    MODEL_DATA,
    MODEL_NAME,
    TAXONOMY_NAME,
    Registry,
    Version,
    out_of_fold_file,
)
from tagger.training import (
    DEFAULT_RECIPE,
    WEIGHTS_FILE,
    EncoderSource,
    TrainingResult,
    TrainingSettings,
    load_trained,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from sentence_transformers import SentenceTransformer

TRAINING_EXPERIMENT = "tagger"
_ENCODER = "encoder"
_COMMIT = "mlflow.source.git.commit"
"""MLflow's tag for the commit, which its pages show."""
_LONGEST_DESCRIPTION = 5000
"""Maximum length in characters of a version's description in MLflow."""


def check_writable(registry: Registry) -> None:
    """Raise a TaggerError before a training if its run cannot be logged afterwards."""
    with registry.store.writing() as client:
        experiment = registry.store.experiment_id(client, TRAINING_EXPERIMENT)
        checked = datetime.now(UTC).isoformat(timespec="seconds")
        client.set_experiment_tag(experiment, "tagger.last_training", checked)


def settings_of(registry: Registry, version: Version) -> TrainingSettings:
    """Return the settings that the encoder of a version was trained with."""
    logged = registry.run(encoder_origin(registry, version)).data.params
    return TrainingSettings(
        recipe=logged.get("recipe", DEFAULT_RECIPE),
        encoder=logged["encoder"],
        max_tokens=int(logged["max_tokens"]),
        epochs=int(logged["epochs"]),
        # Earlier versions were fine-tuned on whole texts.
        tuning_tokens=int(logged.get("tuning_tokens", logged["max_tokens"])),
        folds=int(logged["folds"]),
        seed=int(logged["seed"]),
        float32=logged.get("float32") == "True",
    )


def encoder_source(registry: Registry, version: Version, folder: Path) -> EncoderSource:
    """Return a version as a source of encoders, with its model copied into ``folder``."""
    origin = encoder_origin(registry, version)
    return EncoderSource(
        origin.name,
        registry.model_folder(version, folder),
        training_data(registry, origin),
        registry.folds_of(origin),
    )


def encoder_origin(registry: Registry, version: Version) -> Version:
    """Return the version whose training fine-tuned the encoder that a version uses.

    It is the version itself if it updates the model that ships with tagger.
    """
    encoder_of = registry.run(version).data.params.get("encoder_of", "None")
    if encoder_of == "None" or updates_shipped_model(registry, version):
        return version
    return encoder_origin(registry, registry.find(encoder_of))


def updates_shipped_model(registry: Registry, version: Version) -> bool:
    """Return whether a version is an update of a model that ships with tagger."""
    return registry.run(version).data.params.get("encoder_of", "").startswith(SHIPPED_NAME)


def trained_encoder(registry: Registry, version: Version) -> SentenceTransformer:
    """Return the PyTorch encoder of a version: the pretrained one with the trained weights.

    Raises a TaggerError if the pretrained encoder or the weights are missing.
    """
    origin = encoder_origin(registry, version)
    settings = settings_of(registry, origin)
    if updates_shipped_model(registry, origin):
        raise TaggerError(
            f"{origin.name} has the encoder that ships with tagger, which can only tag",
            hint="Train an encoder of your own: tagger train",
        )
    with TemporaryDirectory() as scratch, registry.store.reading() as client:
        file = f"{_ENCODER}/{WEIGHTS_FILE}"
        logged = {item.path for item in client.list_artifacts(origin.run_id, _ENCODER)}
        if settings.epochs and file not in logged:
            raise TaggerError(
                f"the run of {origin.name} has no {file}, from which its encoder is made",
                hint="It was trained by an earlier version of tagger: train again",
            )
        weights = Path(client.download_artifacts(origin.run_id, file, scratch)) if logged else None
        return load_trained(settings.encoder, settings.max_tokens, weights)


def log_training(
    registry: Registry, result: TrainingResult, settings: TrainingSettings, snapshot: LabelSnapshot
) -> Version:
    """Log a training run and register its model as a new version.

    The first version becomes the champion, any other the challenger. The version is registered
    after all its files were uploaded, and the alias is set last. Raises a TaggerError if the store
    cannot be written or the upload is incomplete.
    """
    import mlflow

    labels = len(snapshot.labels)
    lineage = lineage_of(snapshot, registry.champion())
    fingerprint = settings.fingerprint(snapshot.taxonomy, snapshot.labels)
    with registry.store.writing() as client:
        metrics = training_metrics(result, labels)
        card = model_card(result, settings, metrics, lineage)
        experiment = registry.store.experiment_id(client, TRAINING_EXPERIMENT)
        title = f"{labels} labels"
        with registry.store.run(client, experiment, title, card, seconds=result.seconds) as run:
            # The manifest holds the hashes of the other files.
            digest = {f"{HASH_OF}{MANIFEST_FILE}": result.model.digest}
            params = {key: value for key, value in asdict(settings).items() if value is not None}
            mlflow.log_params({**params, **lineage, **digest})
            mlflow.set_tag(_COMMIT, _git_commit(snapshot.folder))
            log_labels(snapshot)
            log_predictions(result.out_of_fold)
            if result.weights:
                mlflow.log_artifact(str(result.weights), _ENCODER)
            mlflow.log_text(card, "model_card.md")
            logged = log_model(result.model, result.folder)
            mlflow.log_metrics(metrics, model_id=logged.model_id)
        _check_uploaded(client, logged.model_id)
        _create_registered_model(client, registry.model)
        client.set_registered_model_tag(registry.model, TAXONOMY_NAME, snapshot.taxonomy.name)
        registered = client.create_model_version(
            registry.model,
            source=logged.model_uri,
            run_id=run.info.run_id,
            model_id=logged.model_id,
            tags={
                "labels": f"{labels}, of these {lineage['labels_from_review']} from review",
                "taxonomy": snapshot.taxonomy.name,
            },
            description=card.split("\n## ")[0] if len(card) > _LONGEST_DESCRIPTION else card,
        )
        _delete_copies(client, registered)
        client.update_run(run.info.run_id, name=f"{MODEL_NAME}/{registered.version}, {title}")
        version = registry.find(str(registered.version))
        for name, value in (digest | {FINGERPRINT: fingerprint}).items():
            registry.note(version, name, value)
        if registry.champion():
            registry.set_alias(CHALLENGER, version)
        else:
            record_promotion(registry, version)
            registry.set_alias(CHAMPION, version)
        describe_model(registry)
    return registry.find(version.name)


def model_card(
    result: TrainingResult,
    settings: TrainingSettings,
    metrics: Mapping[str, float],
    lineage: Mapping[str, str],
) -> str:
    """Return the model card as Markdown.

    ``metrics`` are those of :func:`training_metrics`. ``lineage`` has the number of ``labels`` and
    of ``labels_from_review``, the ``taxonomy`` and the ``parent``, the champion at that time.
    """
    return render(
        "registry/model_card.md",
        facets=[held_out.facet for held_out in result.out_of_fold],
        settings=settings,
        metrics=metrics,
        samples=evaluate_samples(result.out_of_fold),
        shown_metrics=SHOWN_METRICS,
        unknown=UNKNOWN,
        lineage=lineage,
        min_confidence=ReviewRule().min_confidence,
    )


def training_metrics(result: TrainingResult, labels: int) -> dict[str, float]:
    """Return all figures of a training with their 95% intervals, under their names in MLflow."""
    model = result.model
    metrics = {
        "expected_review_share": expected_review_share(
            model.reference, model.taxonomy, model.rule()
        ),
        "labels": float(labels),
        "model_megabytes": sum(path.stat().st_size for path in result.folder.iterdir()) / 1e6,
        "training_seconds": result.seconds,
        "encoders_reused": float(result.reused),
    }
    return metrics | held_out_metrics(result.out_of_fold)


def lineage_of(snapshot: LabelSnapshot, champion: Version | None) -> dict[str, str]:
    """Return the origin of a version as MLflow parameters: labels, taxonomy, parent."""
    lineage = {
        "labels": str(len(snapshot.labels)),
        "labels_from_review": str(sum(label.source == "review" for label in snapshot.labels)),
        "conflicts": snapshot.conflicts,
        "taxonomy": snapshot.taxonomy.version,
        "parent": champion.name if champion else "none",
    }
    return lineage | {f"{HASH_OF}{name}": digest for name, digest in snapshot.hashes().items()}


def _git_commit(folder: Path) -> str:
    """Return the git commit of the label folder, with ``+changes`` if files differ from it."""
    try:
        from git import Repo
        from git.exc import GitError
    except ImportError:
        # GitPython raises this if git is not installed.
        return "none"
    try:
        repository = Repo(folder, search_parent_directories=True)
        changed = repository.is_dirty(untracked_files=True, path=str(folder.resolve()))
        return repository.head.commit.hexsha + ("+changes" if changed else "")
    except (GitError, ValueError, OSError):
        return "none"


def log_labels(snapshot: LabelSnapshot) -> None:
    """Log labels and taxonomy to the active run, as files and as its data set."""
    import mlflow
    import pandas as pd
    from mlflow.data.pandas_dataset import from_pandas

    with TemporaryDirectory() as scratch:
        for name, content in snapshot.files.items():
            (Path(scratch) / name).write_bytes(content)
        mlflow.log_artifacts(scratch, LABELS)
    table = pd.DataFrame(
        [
            {
                "id": label.id,
                "title": label.title,
                "text": label.text,
                **{f"tags.{facet}": "; ".join(tags) for facet, tags in label.tags.items()},
            }
            for label in snapshot.labels
        ]
    )
    dataset = from_pandas(table, source=str(snapshot.folder), name="labels")
    mlflow.log_input(dataset, context="training")


def log_predictions(out_of_fold: Sequence[HeldOut]) -> None:
    """Log plots and tables of out-of-fold predictions to the active run."""
    import mlflow

    mlflow.log_param(MEASURED_FACETS, ", ".join(each.facet.name for each in out_of_fold))
    for held_out in out_of_fold:
        facet = held_out.facet.name
        for sample, part in split_samples(held_out).items():
            place = f"{'seed' if sample == 'seed' else 'reviewed'}/{facet}.png"
            mlflow.log_figure(confusion_matrix_figure(part), f"confusion_matrix/{place}")
            mlflow.log_figure(reliability_figure(part), f"reliability/{place}")
        mlflow.log_table(to_table(held_out), out_of_fold_file(facet))


def _check_uploaded(client: MlflowClient, model_id: str) -> None:
    """Raise a TaggerError if a file of the model is missing: MLflow does not report that."""
    uploaded = {
        Path(item.path).name for item in client.list_logged_model_artifacts(model_id, MODEL_DATA)
    }
    missing = {*MODEL_FILES, MANIFEST_FILE} - uploaded
    if missing:
        raise TaggerError(
            "the upload to the artifact store is incomplete, missing: "
            f"{', '.join(sorted(missing))}",
            hint="Check that there is free space and write permission, then train again",
        )


def _delete_copies(client: MlflowClient, registered: ModelVersion) -> None:
    """Delete further versions of the run, which MLflow creates when it repeats a request."""
    for other in client.search_model_versions(f"run_id = '{registered.run_id}'"):
        if other.name == registered.name and other.version != registered.version:
            client.delete_model_version(other.name, other.version)


def _create_registered_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
