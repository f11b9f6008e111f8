"""Arguments and options that several commands have, each declared once."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from tagger.model import MIN_CONFIDENCE, TARGET_PRECISION

LABELS_FOLDER = Path("labels")
BUNDLED_ENCODER = "bundled-minilm"
RECIPE = "contrastive"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")]

Files = Annotated[
    list[Path],
    typer.Argument(help="Files with papers: digest pages, libraries, tables, feeds, e-mails."),
]
Digests = Annotated[
    list[Path] | None, typer.Option("--digest", "-d", help="A file with papers; repeatable.")
]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="Read the files in this format, such as csv. By default the content of each file "
        "decides. An unknown name gives an error that lists all formats.",
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="FIELD=NAME",
        help="The column of a table that holds a field, such as title=NAME or abstract=NAME; "
        "repeatable.",
    ),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Replace results of other papers in the output folder.")
]
Write = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Also write parquet, excel, dataset, or notes (Markdown for Obsidian); repeatable.",
    ),
]
NoAbstracts = Annotated[
    bool,
    typer.Option("--no-abstracts", help="Keep no abstracts, if you must not store these texts."),
]


def naming(labels: Path) -> str:
    """Return the option that names a label folder in a command to copy; none for the default."""
    return "" if labels == LABELS_FOLDER else f" --labels {shlex.quote(str(labels))}"


def _labels_if_there(folder: Path | None) -> Path | None:
    return folder or (LABELS_FOLDER if LABELS_FOLDER.is_dir() else None)


Labels = Annotated[Path, typer.Option("--labels", "-l", help="The label folder.")]
ReviewedLabels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        "-l",
        callback=_labels_if_there,
        help="The label folder with the reviews; by default 'labels' if it exists.",
    ),
]
Texts = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="PLACE",
        help="A file with papers, or a folder of such files, with the abstracts of labels that are "
        "stored without them; repeatable.",
    ),
]
Conflicts = Annotated[
    Literal["latest", "majority", "adjudicate"],
    typer.Option(
        envvar="TAGGER_CONFLICTS",
        help="Which answer counts where reviewers differ: the latest, that of the majority, or "
        "only one that settles a disagreement.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A version (7), an alias, the id of a training run, the folder of a model, shipped "
        "(the model that comes with tagger), or a label folder, whose definitions are then used "
        "without training. Until a version is promoted, champion is the shipped model.",
    ),
]
Version = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="A version (7), an alias (champion) or the id of a training run."
    ),
]
Effort = Annotated[
    Literal["low", "balanced", "full"],
    typer.Option(
        help="The text that is read of each paper. low: an excerpt. balanced: title and excerpt. "
        "full: title, excerpt and the whole text."
    ),
]
MinConfidence = Annotated[
    float,
    typer.Option(
        min=MIN_CONFIDENCE[0],
        max=MIN_CONFIDENCE[1],
        help="A paper with a lower confidence goes to review.",
    ),
]
TargetPrecision = Annotated[
    float | None,
    typer.Option(
        min=TARGET_PRECISION[0],
        max=TARGET_PRECISION[1],
        help="Share of the accepted tags that must be right; all other tags go to review.",
    ),
]

Recipe = Annotated[
    str,
    typer.Option(
        help="How to train: contrastive, setfit, setfit-supcon, frozen, tfidf, zero-shot, or that "
        "of another package."
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Number of passes over the labels, by default that of the recipe; 0: no fine-tuning.",
    ),
]
Encoder = Annotated[
    str, typer.Option(help="A sentence-transformers model: a folder, a name, or bundled-minilm.")
]
MaxTokens = Annotated[
    int, typer.Option(min=16, max=512, help="Number of tokens of each text that are read.")
]
Folds = Annotated[int, typer.Option(min=2, help="Number of folds of the cross-validation.")]
Seed = Annotated[int, typer.Option(help="Seed of all random numbers.")]

Budget = Annotated[
    int, typer.Option(min=1, help="Number of these papers that wait for review afterwards.")
]
StrategyName = Annotated[
    str, typer.Option(help="How papers are chosen: see 'tagger review strategies'.")
]
AuditShare = Annotated[
    float,
    typer.Option(min=0, max=1, help="Share of papers sampled at random, to measure accuracy."),
]
Audit = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Review only papers sampled at random: the number that wait for review afterwards. "
        "Replaces --budget and --audit-share.",
    ),
]
Enough = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FACET=ACCURACY",
        help="Accuracy to reach in a facet, for example contribution=0.85; repeatable. The "
        "exit code is 1 until it is reached.",
    ),
]
Project = Annotated[
    str | None,
    typer.Option(
        help="Number or title of the project in Label Studio. By default its title is 'tagger: ' "
        "and the name of the taxonomy."
    ),
]
ServerFolder = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        help="Folder of a separate Label Studio. By default, one Label Studio serves all working "
        "folders; its folder is in your user data folder, or is that of TAGGER_LABEL_STUDIO.",
    ),
]
