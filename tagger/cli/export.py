"""``tagger export``: a model or labels in the formats of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tagger.cli import options, output
from tagger.errors import TaggerError

Folder = Annotated[Path, typer.Argument(help="A new or empty folder.")]
Form = Annotated[
    Literal["setfit", "dataset", "onnx"],
    typer.Option(
        "--to",
        help="setfit: one SetFitModel for each facet. dataset: the labels, as a DatasetDict. onnx: "
        "the encoder with 32-bit weights.",
    ),
]
Hub = Annotated[
    str | None,
    typer.Option(
        "--push-to-hub",
        metavar="NAME",
        help="Also push it to this name on the Hugging Face hub; SetFit models to NAME-FACET.",
    ),
]


def export(
    folder: Folder,
    form: Form,
    model: options.Version = "champion",
    labels: options.Labels = options.LABELS_FOLDER,
    texts: options.Texts = None,
    conflicts: options.Conflicts = "latest",
    push_to_hub: Hub = None,
) -> None:
    """Write a version for SetFit or ONNX, or the labels for Hugging Face datasets.

    A SetFit model loads with SetFitModel.from_pretrained. It gives most papers the same tags, but
    from vectors alone: what the words of a paper add is lost. Its head is a pickle, as always in
    SetFit.

    Example: tagger export --to setfit for-setfit
    """
    if push_to_hub and form == "onnx":
        raise TaggerError(
            "--push-to-hub cannot be combined with --to onnx",
            hint="Push the folder: hf upload NAME FOLDER",
        )
    if form == "dataset":
        snapshot = output.label_snapshot(labels, texts or [], conflicts)
        with output.needs_extra("train"), output.working("Writing labels"):
            from tagger.training import export_labels

            splits = export_labels(snapshot.labels, snapshot.taxonomy, folder, push_to_hub)
        sizes = ", ".join(f"{len(part)} in {name}" for name, part in splits.items())
        output.echo(f"{folder}: {len(snapshot.labels)} labels, {sizes}")
        return
    registry = output.open_registry()
    from tagger.registry import trained_encoder
    from tagger.training import export_float32, export_setfit

    with output.working("Exporting"):
        version = registry.find(model)
        encoder = trained_encoder(registry, version)
        if form == "onnx":
            export_float32(encoder, folder)
        else:
            loaded = registry.load(version)
            export_setfit(loaded, encoder, folder, push_to_hub)
    if form == "onnx":
        output.echo(f"{folder}: the encoder of {version.name} with 32-bit weights")
        return
    names = ", ".join(str(folder / facet.name) for facet in loaded.taxonomy.facets)
    output.echo(f"{version.name} for SetFitModel.from_pretrained: {names}")
    output.echo("Not exported: the classifier of words, and the views of title and excerpt")
