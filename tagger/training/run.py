"""Train a model from labels: encoders, heads, calibration and cross-validation.

Metrics come from cross-validation. Each fold has its own encoder and heads, trained without the
papers that the fold holds out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tagger._util.arrays import Integers
from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError
from tagger.evaluation import HeldOut
from tagger.labels import Label
from tagger.model import Encoder, OnnxEncoder, TaggerModel, load_model, save_heads
from tagger.taxonomy import Taxonomy
from tagger.training.cross_validation import CrossValidation, cross_validate_on, fit_heads
from tagger.training.data import TrainingData, examples_of
from tagger.training.encoders import EncoderCache, EncoderPlan, TrainedEncoder, train_encoders
from tagger.training.recipes import load_recipe
from tagger.training.settings import TrainingSettings


@dataclass(frozen=True)
class EncoderSource:
    """A version whose encoders are reused.

    ``folder`` holds its model, ``data`` its labels. ``folds`` maps the id of each paper to the fold
    that held it out, from 0.
    """

    name: str
    folder: Path
    data: TrainingData
    folds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A trained model and its metrics.

    ``reused`` counts the encoders taken from the cache. ``by_definition`` has the reason for each
    facet whose tags come from their definitions, because it has too few labels. ``weights`` is the
    file of the trained weights of the PyTorch encoder, if there is one.
    """

    model: TaggerModel
    folder: Path
    out_of_fold: tuple[HeldOut, ...]
    seconds: float
    reused: int = 0
    weights: Path | None = None
    by_definition: Mapping[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of all facets, under keys such as ``contribution/macro_f1``."""
        return {
            f"{held_out.facet.name}/{key}": value
            for held_out in self.out_of_fold
            for key, value in held_out.metrics().items()
        }


def train(
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    folder: Path,
    progress: Progress = no_progress,
    *,
    known_folds: Mapping[str, int] | None = None,
    source: EncoderSource | None = None,
    cache: EncoderCache | None = None,
    weights: Path | None = None,
) -> TrainingResult:
    """Train a model on labels, one per paper, and save it in a folder.

    The papers in ``known_folds`` stay in these folds, from 0, of an earlier version. ``cache`` has
    fine-tuned encoders; without it all encoders are trained. The trained weights of the PyTorch
    encoder are written to the file ``weights``, from which :func:`tagger.training.load_trained`
    makes the encoder again. Without fine-tuning there are none.

    With ``source``, a version whose encoder is reused, only heads and calibration are fitted. They
    are cross-validated with the encoders of that version's folds, so held-out papers stay unseen
    and metrics are comparable with those of a full training run. Encoders of folds that are not in
    the cache are fine-tuned again, on the labels of that version.

    Raises a TaggerError if there are too few labels, or the encoder cannot be loaded.
    """
    begin = time.perf_counter()
    data = TrainingData.of(labels, taxonomy)
    folds, plans = _plan_training(data, settings, dict(known_folds or {}), source)
    scarce = data.scarce_facets(folds, settings.folds)
    data = data.without(scarce)
    with closing(train_encoders(plans, cache, progress)) as encoders:
        if source:
            final = TrainedEncoder(OnnxEncoder(source.folder, settings.max_tokens), source.folder)
        else:
            final = next(encoders)
        final.save(folder, weights)
        checked = cross_validate_on(
            data, folds, _training_indices(folds, settings), settings, encoders
        )
    _fit_final(data, settings, checked, final.encoder, folder)
    return TrainingResult(
        load_model(folder),
        folder,
        checked.out_of_fold,
        time.perf_counter() - begin,
        checked.reused + final.reused,
        weights if weights and weights.exists() else None,
        scarce,
    )


def cross_validate(
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    progress: Progress = no_progress,
) -> CrossValidation:
    """Cross-validate settings without training a final model.

    Parameters and errors are those of :func:`train`.
    """
    data = TrainingData.of(labels, taxonomy)
    folds = plan_folds(data, settings)
    plans = _fold_plans(data, folds, settings)
    data = data.without(data.scarce_facets(folds, settings.folds))
    with closing(train_encoders(plans, progress=progress)) as encoders:
        return cross_validate_on(
            data, folds, _training_indices(folds, settings), settings, encoders
        )


def plan_folds(
    data: TrainingData, settings: TrainingSettings, known: Mapping[str, int] | None = None
) -> Integers:
    """Return the fold that holds each paper out, from 0, shape (papers,).

    Papers keep the folds of ``known``, by id, and other near duplicates share a fold, unless a fold
    would then be empty. Raises a TaggerError if there are too few labels in every facet.
    """
    load_recipe(settings, data.taxonomy)
    for kept, grouped in ((known, True), (None, True), (None, False)):
        folds = data.assign_folds(settings, kept, grouped=grouped)
        if len(set(folds.tolist())) == settings.folds:
            break
    scarce = data.scarce_facets(folds, settings.folds)
    if len(scarce) == len(data.taxonomy.facets):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in scarce.items())
        raise TaggerError(
            f"there are too few labels to train on ({reasons})",
            hint="Label more papers, or tag by the definitions: tagger tag FILES --model LABELS",
        )
    return folds


def plan_encoder(
    data: TrainingData, indices: Integers, settings: TrainingSettings, stage: str
) -> EncoderPlan:
    """Return the inputs of fine-tuning an encoder on some papers."""
    texts = data.views(indices, title_views=settings.title_views)
    owners = np.tile(indices, len(texts) // max(len(indices), 1))
    return EncoderPlan(stage, examples_of(data, texts, owners), settings)


def _training_indices(folds: Integers, settings: TrainingSettings) -> list[Integers]:
    return [np.flatnonzero(folds != fold) for fold in range(settings.folds)]


def _fold_plans(
    data: TrainingData, folds: Integers, settings: TrainingSettings
) -> list[EncoderPlan]:
    return [
        plan_encoder(data, indices, settings, f"Fold {fold} of {settings.folds}")
        for fold, indices in enumerate(_training_indices(folds, settings), start=1)
    ]


def _plan_training(
    data: TrainingData,
    settings: TrainingSettings,
    known_folds: dict[str, int],
    source: EncoderSource | None,
) -> tuple[Integers, list[EncoderPlan]]:
    """Return the fold of each paper and the encoders to train: the final one, then the folds'.

    With a source there is no final one. Raises a TaggerError if its folds cannot be kept.
    """
    if source is None:
        # Near duplicates that an earlier version held out in two folds are brought together.
        first = {name: data.ids[group] for name, group in zip(data.ids, data.groups, strict=True)}
        known_folds = {
            name: known_folds.get(first.get(name, name), fold) for name, fold in known_folds.items()
        }
        folds = plan_folds(data, settings, known_folds)
        final = plan_encoder(data, np.arange(len(data.labels)), settings, "Final model")
        # The longest training comes first, since the last ones may not share the cores.
        final = replace(final, float32=settings.float32, weights=True)
        return folds, [final, *_fold_plans(data, folds, settings)]
    folds = plan_folds(data, settings, known_folds | dict(source.folds))
    planned = dict(zip(data.ids, folds.tolist(), strict=True))
    if any(planned.get(name, fold) != fold for name, fold in source.folds.items()):
        raise TaggerError(
            f"there are too few labels to keep the folds of {source.name}",
            hint="Train without --heads-only",
        )
    held_out = np.array([source.folds.get(name, -1) for name in source.data.ids])
    return folds, _fold_plans(source.data, held_out, settings)


def _fit_final(
    data: TrainingData,
    settings: TrainingSettings,
    checked: CrossValidation,
    encoder: Encoder,
    folder: Path,
) -> None:
    """Fit heads on all papers and save them, next to the encoder, as a model."""
    whole = checked.views["whole"].calibrations
    fitted = fit_heads(data, np.arange(len(data.labels)), settings, encoder, whole)
    out_of_fold = {effort: found.out_of_fold for effort, found in checked.efforts.items()}
    reference = data.reference(fitted.vectors[: len(data.labels)], out_of_fold)
    save_heads(
        folder,
        data.taxonomy,
        fitted.lexical,
        fitted.heads,
        reference,
        max_tokens=settings.max_tokens,
        calibrations={view: found.calibrations for view, found in checked.views.items()},
        thresholds={effort: found.thresholds for effort, found in checked.efforts.items()},
        effort_calibrations={
            effort: found.calibrations for effort, found in checked.efforts.items()
        },
    )
