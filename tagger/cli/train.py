"""``tagger train``: train a model and register it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tagger.cli.output import ConflictsOption, JsonOption, LabelsOption, print_json, progress


def train(
    labels: LabelsOption = Path("labels"),
    encoder: Annotated[
        str, typer.Option(help="A sentence-transformers model: a folder or a name.")
    ] = "bundled-minilm",
    max_tokens: Annotated[
        int, typer.Option(min=16, max=512, help="Texts are cut to this many tokens.")
    ] = 256,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the labels.")] = 8,
    folds: Annotated[
        int, typer.Option(min=2, help="Parts of the cross-validation behind all figures.")
    ] = 5,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn by chance.")] = 0,
    alias: Annotated[
        Literal["champion", "challenger"],
        typer.Option(help="champion: use it from now on; challenger: only register it."),
    ] = "champion",
    conflicts: ConflictsOption = "latest",
    if_changed: Annotated[
        bool,
        typer.Option(
            "--if-changed", help="Do nothing if the champion was trained on just these inputs."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model on all labels and register it in MLflow.

    Figures come from cross-validation on the labels; parameters, label files, confusion matrices
    and the model itself are logged with the run.

    Example: tagger train --labels labels
    """
    from tagger.labels import LabelStore
    from tagger.registry import Registry
    from tagger.training import TrainingSettings
    from tagger.training import train as train_model

    settings = TrainingSettings(
        encoder=encoder, max_tokens=max_tokens, epochs=epochs, folds=folds, seed=seed
    )
    store = LabelStore(labels)
    merged = store.labels(conflicts)
    registry = Registry()
    champion = registry.champion()
    if (
        if_changed
        and champion
        and champion.fingerprint == settings.fingerprint(store.taxonomy, merged)
    ):
        if as_json:
            print_json({"model": champion.name, "trained": False})
        else:
            typer.echo(f"Nothing new: {champion.name} was trained on just these inputs.")
        return

    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        with progress() as step:
            result = train_model(merged, store.taxonomy, settings, Path(scratch) / "model", step)
        version = registry.log(result, settings, store, merged, alias)
    if as_json:
        print_json(
            {
                "model": version.name,
                "trained": True,
                "alias": alias,
                "labels": len(merged),
                "seconds": round(result.seconds, 1),
                "metrics": result.metrics,
            }
        )
    else:
        _print_training(version.name, alias, len(merged), result.seconds, result.metrics)


def _print_training(
    name: str, alias: str, labels: int, seconds: float, metrics: dict[str, float]
) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{name}, cross-validated on {labels} labels", title_justify="left")
    for column in ("facet", "accuracy", "macro F1", "micro F1", "calibration error"):
        table.add_column(column, justify="left" if column == "facet" else "right")
    for facet in dict.fromkeys(key.split("/")[0] for key in metrics):
        figures = ("accuracy", "macro_f1", "micro_f1", "calibration_error")
        table.add_row(facet, *(f"{metrics[f'{facet}/{figure}']:.3f}" for figure in figures))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"Trained in {seconds:.0f} s; {name} is now {alias}.")
