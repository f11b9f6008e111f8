"""``tagger bakeoff``: compare encoders on one's own labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tagger.cli import options, output

if TYPE_CHECKING:
    from tagger.training import Contender

Encoders = Annotated[
    list[str],
    typer.Argument(help="sentence-transformers models: folders, names, or bundled-minilm."),
]
Epochs = Annotated[
    int, typer.Option(min=0, help="Number of passes over the labels; 0: no fine-tuning.")
]


def bakeoff(
    encoders: Encoders,
    labels: options.Labels = options.LABELS_FOLDER,
    max_tokens: options.MaxTokens = 256,
    epochs: Epochs = 6,
    folds: options.Folds = 5,
    seed: options.Seed = 0,
    conflicts: options.Conflicts = "latest",
    as_json: options.Json = False,
) -> None:
    """Compare encoders on your labels, each with the first one.

    All encoders are cross-validated on the same folds. The verdict is by macro-F1, with paired
    statistics on the papers of both. No version is recorded: train with the best encoder by
    'tagger train --encoder'.

    Example: tagger bakeoff bundled-minilm ./another-encoder --epochs 0
    """
    from tagger.labels import LabelStore

    store = LabelStore(labels)
    merged = store.labels(conflicts)
    with output.needs_extra("train"):
        from tagger.training import TrainingSettings, bake_off

        settings = TrainingSettings(max_tokens=max_tokens, epochs=epochs, folds=folds, seed=seed)
        with output.progress() as step:
            contenders = bake_off(merged, store.taxonomy, encoders, settings, step)
    if as_json:
        report = [
            {
                "encoder": one.encoder,
                "figures": one.figures,
                "seconds": round(one.seconds, 1),
                "seconds_per_100": round(one.seconds_per_100, 2),
                "against_first": one.against_first and one.against_first.as_dict(),
            }
            for one in contenders
        ]
        output.print_json({"labels": len(merged), "encoders": report})
    else:
        _print_contenders(contenders, len(merged))


def _print_contenders(contenders: list[Contender], labels: int) -> None:
    from tagger.cli.console import print_table

    facets, seconds = list(contenders[0].figures), "s per 100 papers"
    rows = []
    for one in contenders:
        cells = {name: f"{figures['macro_f1']:.3f}" for name, figures in one.figures.items()}
        for found in one.against_first.facets if one.against_first else ():
            change = found.figures["macro_f1"]
            low, high = change.interval
            cells[found.facet] += f" {change.difference:+.3f} ({low:+.3f} to {high:+.3f})"
        verdict = one.against_first.verdict if one.against_first else ""
        rows.append((one.encoder, *cells.values(), verdict, f"{one.seconds_per_100:.1f}"))
    title = f"Macro-F1, cross-validated on {labels} labels, and its difference from the first"
    print_table(("encoder", *facets, "verdict", seconds), rows, (*facets, seconds), title)
