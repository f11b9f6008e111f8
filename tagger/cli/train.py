"""``tagger train``: train a model and register it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli.output import (
    ConflictsOption,
    EncoderOption,
    JsonOption,
    LabelsOption,
    MaxTokensOption,
    SeedOption,
    open_registry,
    print_json,
    progress,
    warn,
    working,
)
from tagger.cli.terminal import echo
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from tagger.encoder_training import TrainingProgress
    from tagger.labels import Label
    from tagger.registry import Registry, Version
    from tagger.taxonomy import Taxonomy
    from tagger.training import TrainingResult, TrainingSettings


def train(
    labels: LabelsOption = Path("labels"),
    encoder: EncoderOption = "bundled-minilm",
    max_tokens: MaxTokensOption = 256,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the labels.")] = 6,
    folds: Annotated[
        int, typer.Option(min=2, help="Parts of the cross-validation behind all figures.")
    ] = 5,
    seed: SeedOption = 0,
    compatible_with: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="Keep what this version (such as champion) has right: fewer papers change from "
            "right to wrong.",
            show_default=False,
        ),
    ] = None,
    heads_only: Annotated[
        bool,
        typer.Option(
            "--heads-only",
            help="Take the champion's encoder as it is, fit all else anew: seconds, not minutes.",
        ),
    ] = False,
    learning_curve: Annotated[
        bool,
        typer.Option(
            help="Tell from parts of the labels what more of them would bring; a quarter slower."
        ),
    ] = True,
    conflicts: ConflictsOption = "latest",
    if_changed: Annotated[
        bool,
        typer.Option(
            "--if-changed",
            help="Do nothing if champion or challenger was trained on just these inputs.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model on all labels and register it in MLflow.

    The first version is the champion that 'tagger tag' uses. Any later one is the challenger, until
    'tagger promote' lets it through. Figures come from cross-validation on the labels; settings,
    label files, pictures, predictions and the model itself are logged with the run.

    With --heads-only the encoder is not fine-tuned again, only what stands on it is fitted: right
    after a review, to see what it brought. What the champion's folds said of papers that it was
    trained on stays; newer papers are held out afresh.

    Example: tagger train --labels labels
    """
    from tagger.encoder_cache import usual_encoder_cache
    from tagger.labels import LabelStore

    registry = open_registry()
    from tagger.registry.training_run import (
        check_writable,
        log_training,
        settings_with_encoder_of,
    )
    from tagger.training import TrainingSettings
    from tagger.training import train as train_model

    store = LabelStore(labels)
    snapshot = store.snapshot(conflicts)
    kept = registry.find(compatible_with) if compatible_with else None
    if heads_only and kept:
        raise TaggerError(
            "--heads-only and --compatible-with exclude each other",
            hint="Leave one of them out: heads on the same encoder are much alike anyway",
        )
    settings = TrainingSettings(
        encoder=encoder,
        max_tokens=max_tokens,
        epochs=epochs,
        folds=folds,
        seed=seed,
        compatible_with=kept.name if kept else None,
    )
    source = registry.find("champion") if heads_only else None
    if source:
        settings = settings_with_encoder_of(registry, source, settings)
    fingerprint = settings.fingerprint(store.taxonomy, snapshot.labels)
    for version in (registry.champion(), registry.challenger()) if if_changed else ():
        if version and version.fingerprint == fingerprint:
            if as_json:
                print_json({"model": version.name, "trained": False})
            else:
                echo(f"Nothing new: {version.name} was trained on just these inputs.")
            return
    check_writable(registry)

    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "model"
        inputs = snapshot.labels, store.taxonomy, settings
        with progress() as step:
            if source:
                result = _refit(registry, source, inputs, target, step)
            else:
                result = train_model(
                    *inputs,
                    target,
                    step,
                    champion=registry.load_for_guidance(kept) if kept else None,
                    known_folds=registry.known_folds(folds),
                    learning_curve=learning_curve,
                    encoders=usual_encoder_cache(),
                )
        with working("Logging to MLflow"), _kept_on_failure(result, fingerprint):
            version = log_training(registry, result, settings, snapshot)
    if as_json:
        print_json(
            {
                "model": version.name,
                "trained": True,
                "aliases": list(version.aliases),
                "labels": len(snapshot.labels),
                "seconds": round(result.seconds, 1),
                "encoders_reused": result.reused,
                "metrics": result.metrics,
            }
        )
    else:
        _print_training(version, len(snapshot.labels), result)


def _refit(
    registry: Registry,
    source: Version,
    inputs: tuple[Sequence[Label], Taxonomy, TrainingSettings],
    target: Path,
    step: TrainingProgress,
) -> TrainingResult:
    """Fit heads on the encoder of a version."""
    from tagger.model import load_model
    from tagger.refitting import refit_heads
    from tagger.vector_cache import usual_cache

    folder = registry.copy_model(source, target.parent / "earlier")
    return refit_heads(
        *inputs,
        load_model(folder, source.name, usual_cache()),
        folder,
        {name for table in registry.held_out(source).values() for name in table.ids},
        target,
        step,
        known_folds=registry.known_folds(inputs[-1].folds),
    )


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
            warn(said)
            raise
        hint = f"{error.hint}; {said}" if error.hint else said[0].upper() + said[1:]
        raise TaggerError(error.problem, path=error.path, hint=hint) from error


def _print_training(version: Version, labels: int, result: TrainingResult) -> None:
    from rich.table import Table

    from tagger.cli.console import Console
    from tagger.evaluation import SHOWN_METRICS

    name, metrics = version.name, result.metrics
    table = Table(title=f"{name}, cross-validated on {labels} labels", title_justify="left")
    for column in ("facet", *(metric.label for metric in SHOWN_METRICS.values())):
        table.add_column(column, justify="left" if column == "facet" else "right")
    for facet in dict.fromkeys(key.split("/")[0] for key in metrics):
        table.add_row(facet, *(f"{metrics[f'{facet}/{name}']:.3f}" for name in SHOWN_METRICS))
    console = Console(highlight=False)
    console.print(table)
    alias = version.aliases[0] if version.aliases else "registered"
    reused = f" ({result.reused} encoders were there from before)" if result.reused else ""
    console.print(f"Trained in {result.seconds:.0f} s{reused}; {name} is now {alias}.")
    if alias == "challenger":
        console.print("Next: tagger compare, then tagger promote")
