"""``tagger train``: train a model and register it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import output
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from tagger.training import TrainingResult


def train(
    labels: output.LabelsOption = Path("labels"),
    encoder: output.EncoderOption = "bundled-minilm",
    max_tokens: output.MaxTokensOption = 256,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the labels.")] = 6,
    folds: Annotated[
        int, typer.Option(min=2, help="Parts of the cross-validation behind all figures.")
    ] = 5,
    seed: output.SeedOption = 0,
    heads_only: Annotated[
        bool,
        typer.Option(
            "--heads-only",
            help="Take the champion's encoder as it is, fit all else anew: seconds, not minutes.",
        ),
    ] = False,
    float32: Annotated[
        bool,
        typer.Option(
            "--float32", help="Export the encoder in 32 bits, too, for GPUs; the model is larger."
        ),
    ] = False,
    conflicts: output.ConflictsOption = "latest",
    if_changed: Annotated[
        bool,
        typer.Option(
            "--if-changed",
            help="Do nothing if champion or challenger was trained on just these inputs.",
        ),
    ] = False,
    as_json: output.JsonOption = False,
) -> None:
    """Train a model on all labels and register it in MLflow.

    The first version is the champion that 'tagger tag' uses. Any later one is the challenger, until
    'tagger promote' lets it through. Figures come from cross-validation on the labels; settings,
    label files, pictures, predictions and the model itself are logged with the run.

    With --heads-only the champion's encoder and settings are taken as they are, and heads and
    calibration are fitted on all labels: right after a review, to see what it brought. The encoders
    of the champion's folds come from the cache; those that are not there are trained again.

    Example: tagger train --labels labels
    """
    from dataclasses import replace

    from tagger.labels import LabelStore
    from tagger.registry import (
        check_writable,
        encoder_origin,
        encoder_source,
        log_training,
        settings_of,
    )
    from tagger.training import TrainingSettings, default_encoder_cache
    from tagger.training import train as train_model

    registry = output.open_registry()
    store = LabelStore(labels)
    snapshot = store.snapshot(conflicts)
    settings = TrainingSettings(
        encoder=encoder,
        max_tokens=max_tokens,
        epochs=epochs,
        folds=folds,
        seed=seed,
        float32=float32,
    )
    if heads_only and float32:
        raise TaggerError(
            "--heads-only and --float32 exclude each other",
            hint="With --heads-only the champion's encoder is taken as it is exported",
        )
    champion = registry.find("champion") if heads_only else None
    if champion:
        origin = encoder_origin(registry, champion)
        settings = replace(settings_of(registry, origin), encoder_of=origin.name)
    fingerprint = settings.fingerprint(store.taxonomy, snapshot.labels)
    for version in (registry.champion(), registry.challenger()) if if_changed else ():
        if version and version.fingerprint == fingerprint:
            if as_json:
                output.print_json({"model": version.name, "trained": False})
            else:
                output.echo(f"Nothing new: {version.name} was trained on just these inputs.")
            return
    check_writable(registry)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = encoder_source(registry, champion, folder) if champion else None
        with output.progress() as step:
            result = train_model(
                snapshot.labels,
                store.taxonomy,
                settings,
                folder / "model",
                step,
                known_folds=registry.known_folds(settings.folds),
                source=source,
                cache=default_encoder_cache(),
            )
        with output.working("Logging to MLflow"), _kept_on_failure(result, fingerprint):
            version = log_training(registry, result, settings, snapshot)
    count = len(snapshot.labels)
    if as_json:
        output.print_json(
            {
                "model": version.name,
                "trained": True,
                "aliases": list(version.aliases),
                "labels": count,
                "seconds": round(result.seconds, 1),
                "encoders_reused": result.reused,
                "metrics": result.metrics,
            }
        )
        return
    from tagger.cli.console import print_table
    from tagger.evaluation import SHOWN_METRICS

    metrics = [metric.label for metric in SHOWN_METRICS.values()]
    rows = [
        (facet, *(f"{result.metrics[f'{facet}/{name}']:.3f}" for name in SHOWN_METRICS))
        for facet in dict.fromkeys(key.split("/")[0] for key in result.metrics)
    ]
    title = f"{version.name}, cross-validated on {count} labels"
    print_table(("facet", *metrics), rows, metrics, title)
    alias = version.aliases[0] if version.aliases else "registered"
    reused = f" ({result.reused} encoders were there from before)" if result.reused else ""
    output.echo(f"Trained in {result.seconds:.0f} s{reused}; {version.name} is now {alias}.")
    if alias == "challenger":
        output.echo("Next: tagger compare, then tagger promote")


@contextmanager
def _kept_on_failure(result: TrainingResult, fingerprint: str) -> Iterator[None]:
    """Keep a trained model in the current folder if it does not arrive in MLflow."""
    try:
        yield
    except BaseException as error:
        import shutil

        kept = Path(f"tagger-model-{fingerprint[:12]}")
        try:
            shutil.copytree(result.folder, kept, dirs_exist_ok=True)
        except OSError:
            raise error from None
        said = f"the model is kept in {kept}, which 'tagger tag --model' takes"
        if not isinstance(error, TaggerError):
            output.warn(said)
            raise
        hint = f"{error.hint}; {said}" if error.hint else said[0].upper() + said[1:]
        raise TaggerError(error.problem, path=error.path, hint=hint) from error
