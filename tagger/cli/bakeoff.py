"""``tagger bakeoff``: compare recipes and encoders on one's own labels."""

from __future__ import annotations

from itertools import product
from typing import Annotated

import typer

from tagger.cli import options, output
from tagger.cli.train import TrustPickle, training_settings

Recipes = Annotated[
    list[str] | None, typer.Option("--recipe", help="A recipe, as for 'tagger train'; repeatable.")
]
Encoders = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder",
        help="A sentence-transformers model: a folder, a name, or bundled-minilm; repeatable.",
    ),
]


def bakeoff(
    recipe: Recipes = None,
    encoder: Encoders = None,
    labels: options.Labels = options.LABELS_FOLDER,
    texts: options.Texts = None,
    max_tokens: options.MaxTokens = 256,
    epochs: options.Epochs = None,
    folds: options.Folds = 3,
    seed: options.Seed = 0,
    trust_pickle: TrustPickle = False,
    conflicts: options.Conflicts = "latest",
    as_json: options.Json = False,
) -> None:
    """Compare recipes and encoders on your labels, each with the first one.

    Each recipe is cross-validated with each encoder, on the same folds. The verdict is by macro-F1,
    with paired statistics on the papers of both. In MLflow the bake-off is one run with a child for
    each candidate. No version is registered: train with the best one by 'tagger train'.

    Example: tagger bakeoff --recipe contrastive --recipe setfit-supcon --recipe tfidf
    """
    registry = output.open_registry()
    from tagger.registry import log_bake_off
    from tagger.training import bake_off

    snapshot = output.label_snapshot(labels, texts or [], conflicts)
    candidates = [
        training_settings(name, model, max_tokens, epochs, folds, seed, trust_pickle=trust_pickle)
        for model, name in product(encoder or [options.BUNDLED_ENCODER], recipe or [options.RECIPE])
    ]
    with output.needs_extra("train"), output.progress() as step:
        contenders = bake_off(snapshot.labels, snapshot.taxonomy, candidates, step)
        run, found = log_bake_off(registry, snapshot, contenders)
    if as_json:
        content = [each.as_dict() for each in found]
        output.print_json({"labels": len(snapshot.labels), "run": run, "candidates": content})
        return
    from tagger.cli.versions import print_runs

    title = "Macro-F1, cross-validated on %d labels, and its difference from the first"
    print_runs(found, title % len(snapshot.labels))
    output.echo(f"The candidates are children of run {run} in MLflow")
