"""``tagger train``: train a model and register it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tagger.cli import options, output
from tagger.errors import TaggerError

if TYPE_CHECKING:
    from tagger.labels import Contradiction, LabelSnapshot
    from tagger.registry import Registry, TrainedVersion
    from tagger.training import TrainingResult, TrainingSettings

HeadsOnly = Annotated[
    bool,
    typer.Option(
        "--heads-only",
        help="Keep the encoder of the champion, or of the model that ships with tagger, and fit "
        "only heads and calibration: seconds, not minutes.",
    ),
]
Float32 = Annotated[
    bool,
    typer.Option(
        "--float32", help="Also export the encoder in 32 bits, for GPUs; the model is larger."
    ),
]
FromSetFit = Annotated[
    Path | None,
    typer.Option(
        "--from-setfit",
        metavar="FOLDER",
        help="Take encoder and head of a SetFit checkpoint, and calibrate them on the labels.",
    ),
]
TrustPickle = Annotated[
    bool,
    typer.Option(
        "--trust-pickle", help="Load the head of the checkpoint, a pickle that may run any code."
    ),
]
IfChanged = Annotated[
    bool,
    typer.Option(
        "--if-changed",
        help="Do nothing if the champion or challenger was trained on the same inputs.",
    ),
]


def train(
    context: typer.Context,
    labels: options.Labels = options.LABELS_FOLDER,
    recipe: options.Recipe = options.RECIPE,
    encoder: options.Encoder = options.BUNDLED_ENCODER,
    max_tokens: options.MaxTokens = 256,
    epochs: options.Epochs = None,
    folds: options.Folds = 3,
    seed: options.Seed = 0,
    from_setfit: FromSetFit = None,
    trust_pickle: TrustPickle = False,
    heads_only: HeadsOnly = False,
    float32: Float32 = False,
    conflicts: options.Conflicts = "latest",
    if_changed: IfChanged = False,
    texts: options.Texts = None,
    as_json: options.Json = False,
) -> None:
    """Train a model on all labels and register it in MLflow.

    The first version becomes the champion, which 'tagger tag' uses. A later one becomes the
    challenger, until 'tagger promote' accepts it. All figures come from cross-validation: first
    those on reviewed papers, if there are 30, then those on seed labels. Settings, label files,
    plots, predictions and the model are logged with the run.

    The tags of a facet with too few labels come from their definitions; a warning names it.

    Every recipe is calibrated, recorded and used for tagging in the same way. By default SetFit
    trains the encoder with a contrastive loss; 'tagger bakeoff' compares recipes on your labels.

    With --heads-only, the champion's encoder and settings are kept, and only heads and calibration
    are fitted to all labels, for example to see the effect of a review. The encoders of the folds
    come from the cache; missing ones are trained again. Without a champion, the model that ships
    with tagger is updated, if it has the same facets and tags.

    A label that is stored without an abstract, as in real.jsonl, counts only if --texts has it.

    Example: tagger train --labels labels
    """
    registry = output.open_registry()
    _check_options(context, registry)
    from tagger.labels import LabelStore
    from tagger.registry import train_version

    contradictions = output.warn_of_contradictions(LabelStore(labels).all_labels())
    snapshot = output.label_snapshot(labels, texts or [], conflicts)
    if from_setfit:
        recipe, encoder = "from-setfit", str(from_setfit)
    settings = training_settings(
        recipe, encoder, max_tokens, epochs, folds, seed, float32=float32, trust_pickle=trust_pickle
    )
    if not heads_only and registry.champion() is None:
        _mention_shipped_model(snapshot)
    with output.needs_extra("train"), output.progress() as step:
        trained = train_version(
            registry, snapshot, settings, step, heads_only=heads_only, if_changed=if_changed
        )
    if trained.result:
        _warn_of_rare_tags(trained.result)
    _print_version(trained, len(snapshot.labels), contradictions, as_json)


def training_settings(
    recipe: str, encoder: str, tokens: int, epochs: int | None, folds: int, seed: int, **more: Any
) -> TrainingSettings:
    """Return the settings that options give; the default number of epochs is that of the recipe."""
    from tagger.training import TrainingSettings, epochs_of

    return TrainingSettings(
        recipe=recipe,
        encoder=encoder,
        max_tokens=tokens,
        epochs=epochs_of(recipe) if epochs is None else epochs,
        folds=folds,
        seed=seed,
        **more,
    )


def options_of(settings: TrainingSettings) -> list[str]:
    """Return the options of ``tagger train`` that give these settings."""
    options = [f"--recipe={settings.recipe}", f"--encoder={settings.encoder}"]
    for name in ("max_tokens", "epochs", "folds", "seed"):
        options.append(f"--{name.replace('_', '-')}={getattr(settings, name)}")
    return [*options, "--float32"] if settings.float32 else options


def _check_options(context: typer.Context, registry: Registry) -> None:
    """Raise a TaggerError if an option is given that --heads-only or --from-setfit replaces."""
    from tagger.registry import updates_shipped_model

    if context.params["heads_only"]:
        kept = ["from_setfit", "recipe", "encoder", "max_tokens", "epochs", "float32"]
        if (champion := registry.champion()) and not updates_shipped_model(registry, champion):
            kept += ["folds", "seed"]
        hint = "Leave out the second: the encoder and the settings of its training are kept"
        _refuse(context, "--heads-only", kept, hint)
    if context.params["from_setfit"]:
        hint = "Leave out --recipe and --encoder: the checkpoint has its own encoder and classifier"
        _refuse(context, "--from-setfit", ["recipe", "encoder"], hint)


def _refuse(context: typer.Context, option: str, others: list[str], hint: str) -> None:
    """Raise a TaggerError if an option is given together with one of the others."""
    for name in others:
        source = context.get_parameter_source(name)
        if source and source.name == "COMMANDLINE":
            other = name.replace("_", "-")
            raise TaggerError(f"{option} and --{other} cannot be combined", hint=hint)


def _mention_shipped_model(snapshot: LabelSnapshot) -> None:
    """Say that the model that ships with tagger can be updated, if it has more labels."""
    from tagger.model import load_model
    from tagger.registry import find_shipped_model
    from tagger.training import same_tags

    try:
        shipped = load_model(find_shipped_model().folder)
    except TaggerError:
        return
    known = len(shipped.reference.ids)
    if len(snapshot.labels) < known and same_tags(shipped.taxonomy, snapshot.taxonomy):
        output.warn(
            f"the model that ships with tagger was trained on {known} labels with these tags: "
            "--heads-only updates it with yours, in seconds"
        )


def _capped(result: TrainingResult) -> dict[str, tuple[str, ...]]:
    """Return the tags with too few labels, by facet."""
    by_facet = result.model.calibrations["whole"]
    return {name: found.capped for name, found in by_facet.items() if found.capped}


def _warn_of_rare_tags(result: TrainingResult) -> None:
    for facet, tags in _capped(result).items():
        if why := result.by_definition.get(facet):
            output.warn(
                f"{facet}: too few labels to learn from ({why}); its tags come "
                "from their definitions, and papers that get one go to review"
            )
        else:
            output.warn(
                f"{facet}: too few labels for or against {', '.join(tags)}; papers that get one of "
                "these tags go to review, and macro-F1 leaves these tags out"
            )


def _print_version(
    trained: TrainedVersion, labels: int, contradictions: list[Contradiction], as_json: bool
) -> None:
    from tagger.evaluation import evaluate_samples

    version, result = trained.version, trained.result
    if as_json:
        content: dict[str, object] = {"model": version.name, "trained": result is not None}
        if result:
            content |= {
                "aliases": list(version.aliases),
                "labels": labels,
                "seconds": round(result.seconds, 1),
                "encoders_reused": result.reused,
                "by_definition": list(result.by_definition),
                "figures": evaluate_samples(result.out_of_fold),
                "capped": _capped(result),
                "contradictions": contradictions,
            }
        output.print_json(content)
        return
    if result is None:
        output.echo(f"Nothing new: {version.name} was trained on the same inputs.")
        return
    output.echo(f"{version.name}, cross-validated on {labels} labels")
    output.print_figures(evaluate_samples(result.out_of_fold))
    alias = version.aliases[0] if version.aliases else "registered"
    reused = f" ({result.reused} encoders from the cache)" if result.reused else ""
    output.echo(f"Trained in {result.seconds:.0f} s{reused}; {version.name} is now {alias}.")
    if alias == "challenger":
        output.echo("Next: tagger compare, then tagger promote")
