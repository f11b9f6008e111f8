"""Write models and labels in the formats of SetFit, of Hugging Face `datasets`, and of ONNX."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from tagger._util.arrays import Floats
from tagger._util.atomic import replacing_folder
from tagger._util.rendering import render
from tagger.errors import TaggerError
from tagger.labels import Label
from tagger.model import FLOAT32_FILE, MEMBERS, TOKENIZER_FILE, TaggerModel
from tagger.taxonomy import Facet, Taxonomy
from tagger.training.data import TEXT, TrainingData, tag_columns
from tagger.training.onnx_export import export_onnx

if TYPE_CHECKING:
    from datasets import DatasetDict
    from sentence_transformers import SentenceTransformer

CARD_FILE = "README.md"


@contextmanager
def _new(folder: Path) -> Iterator[Path]:
    """Provide a folder that becomes ``folder`` at the end, which must be new or empty."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise TaggerError("exists and is not an empty folder; not overwritten", path=folder)
    with replacing_folder(folder) as target:
        yield target


def export_setfit(
    model: TaggerModel, encoder: SentenceTransformer, folder: Path, hub: str | None = None
) -> None:
    """Write one ``SetFitModel`` for each facet, ``folder/FACET``, for ``from_pretrained``.

    ``encoder`` is the PyTorch encoder of the model. A SetFit model has a classifier on vectors
    alone: what the words of a paper add, and its title and excerpt as further views, are lost. Tags
    are given from the model's thresholds. With ``hub``, each is also pushed there, as
    ``HUB-FACET``. Raises a TaggerError if the model's tags come from words alone, or the folder is
    not empty.
    """
    import setfit

    setfit.logging.set_verbosity_error()
    if not any(head.encoder.weights.any() for head in model.heads.values()):
        raise TaggerError(
            f"{model.name} has no classifier on vectors, which a SetFit model needs",
            hint="Its tags come from words alone: train with another --recipe",
        )
    with _new(folder) as target:
        for facet in model.taxonomy.facets:
            head, calibration = model.heads[facet.name], model.calibrations["whole"][facet.name]
            # One member stands in for all, as in ``member_probabilities``.
            scale = calibration.scale * (len(MEMBERS) if head.lexical.weights.any() else 1)
            weights, bias = scale * head.encoder.weights, scale * head.encoder.bias
            if not facet.exclusive:
                threshold = model.thresholds[facet.name]
                bias = bias + calibration.shift - np.log(threshold / (1 - threshold))
            names = list(facet.tag_names)
            exported = setfit.SetFitModel(
                encoder,
                _classifier(facet, weights, bias),
                labels=names if len(names) > 1 else [f"not {names[0]}", names[0]],
                normalize_embeddings=True,
            )
            exported.save_pretrained(str(target / facet.name))
            card = render("training/setfit_card.md", facet=facet, model=model)
            with (target / facet.name / CARD_FILE).open("a", encoding="utf-8") as file:
                file.write(card)
            if hub:
                exported.push_to_hub(f"{hub}-{facet.name}")


def _classifier(facet: Facet, weights: Floats, bias: Floats) -> Any:
    """Return a classifier of scikit-learn with given weights, (tags, dimensions), and bias."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    tags, dimensions = weights.shape
    if facet.exclusive:
        classifier = LogisticRegression().fit(np.eye(tags, dimensions), range(tags))
        two = tags == 2
        classifier.coef_ = weights[1:] - weights[:1] if two else weights
        classifier.intercept_ = bias[1:] - bias[:1] if two else bias
        return classifier
    rows = np.zeros((2, tags), dtype=int)
    rows[1] = 1
    several = OneVsRestClassifier(LogisticRegression()).fit(np.eye(2, dimensions), rows)
    for row, classifier in enumerate(several.estimators_):
        classifier.coef_, classifier.intercept_ = weights[row : row + 1], bias[row : row + 1]
    return several


def export_labels(
    labels: Sequence[Label], taxonomy: Taxonomy, folder: Path, hub: str | None = None
) -> DatasetDict:
    """Write labels as a ``DatasetDict`` with a card, for ``datasets.load_from_disk``.

    The split ``test`` has the papers of the audit sample, which measure without bias, and ``train``
    all others. Who labelled a paper is left out. With ``hub``, it is also pushed there. Raises a
    TaggerError if the folder is not empty.
    """
    import datasets

    datasets.disable_progress_bars()
    data, value = TrainingData.of(labels, taxonomy), datasets.Value("string")
    parts = {}
    for name, audited in (("train", False), ("test", True)):
        indices = np.array([i for i, each in enumerate(labels) if each.audited is audited], int)
        if not len(indices) and name == "test":
            continue
        columns, features = tag_columns(data, indices)
        texts = {
            field: [getattr(labels[i], field) for i in indices] for field in ("id", "title", TEXT)
        }
        features = datasets.Features({**dict.fromkeys(texts, value), **features})
        parts[name] = datasets.Dataset.from_dict({**texts, **columns}, features)
    splits = datasets.DatasetDict(parts)
    with _new(folder) as target:
        splits.save_to_disk(target)
        sizes = {name: len(part) for name, part in splits.items()}
        card = render("training/dataset_card.md", taxonomy=taxonomy, sizes=sizes)
        (target / CARD_FILE).write_text(card, encoding="utf-8")
    if hub:
        splits.push_to_hub(hub)
    return splits


def export_float32(encoder: SentenceTransformer, folder: Path) -> None:
    """Write an encoder as ONNX with 32-bit weights, and its tokenizer.

    Raises a TaggerError if it cannot be exported, or the folder is not empty.
    """
    with TemporaryDirectory() as scratch, _new(folder) as target:
        export_onnx(encoder, Path(scratch), float32=True)
        for name in (FLOAT32_FILE, TOKENIZER_FILE):
            shutil.copyfile(Path(scratch) / name, target / name)
