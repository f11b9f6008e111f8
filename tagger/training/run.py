"""Train a model from labels: encoders, heads, calibration and cross-validation.

Metrics come from cross-validation. Each fold has its own encoder and heads, trained without the
papers that the fold holds out. The model's calibration is fitted on the out-of-fold predictions of
all folds. For the metrics, the predictions of a fold are calibrated on those of the other folds.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tagger import __version__
from tagger._util.arrays import Floats, Integers, Vectors
from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError
from tagger.evaluation import HeldOut
from tagger.labels import Label
from tagger.model import (
    MEMBERS,
    Calibration,
    Encoder,
    Head,
    LexicalFeatures,
    OnnxEncoder,
    OutOfFold,
    Reference,
    TaggerModel,
    Thresholds,
    load_model,
    prototypes,
    save_heads,
    similarity,
)
from tagger.papers import TEXT_VIEWS, Paper
from tagger.taxonomy import Taxonomy
from tagger.training.data import TrainingData, assign_folds, fine_tuning_inputs
from tagger.training.encoders import (
    EncoderCache,
    EncoderPlan,
    TrainedEncoder,
    train_encoders,
)
from tagger.training.heads import (
    CalibratedView,
    calibrate_view,
    fit_head,
    fit_threshold,
    fit_vectorizer,
    out_of_fold_by_effort,
)
from tagger.training.settings import FineTuning


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings(FineTuning):
    """Settings of a training run; all are logged. Those of :class:`FineTuning` come first.

    Parameters
    ----------
    folds:
        Number of folds of the cross-validation.
    title_views:
        Whether the title of each paper is one more training example, for the encoder and for the
        heads. A title names the subject in a few words, without the phrases that the abstracts of
        the labelled papers happen to share.
    float32:
        Whether to export the encoder with 32-bit weights, too, for GPUs.
    encoder_of:
        Name of the version whose fine-tuned encoders are reused, or None.
    """

    folds: int = 5
    title_views: bool = True
    float32: bool = False
    encoder_of: str | None = None

    def fingerprint(self, taxonomy: Taxonomy, labels: Sequence[Label]) -> str:
        """Return a hash of all inputs of a training run: equal inputs give an equal model."""
        content = {
            "tagger": __version__,
            "settings": asdict(self),
            "taxonomy": taxonomy.version,
            "labels": [
                [label.id, label.paper.text, {k: sorted(v) for k, v in sorted(label.tags.items())}]
                for label in labels
            ],
        }
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


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
    """A trained model and its metrics; ``reused`` counts the encoders taken from the cache."""

    model: TaggerModel
    folder: Path
    out_of_fold: tuple[HeldOut, ...]
    metrics: dict[str, float]
    seconds: float
    reused: int = 0


@dataclass(frozen=True)
class CrossValidation:
    """Out-of-fold predictions, and the calibrations and thresholds fitted on them.

    ``out_of_fold`` has one table per facet, of the papers annotated in it, with full effort.
    ``views`` is by text view; ``efforts`` and ``thresholds`` are by effort. ``encoding_seconds`` is
    the time to encode all papers once. ``reused`` counts the encoders taken from the cache.
    """

    out_of_fold: tuple[HeldOut, ...]
    views: dict[str, CalibratedView]
    efforts: dict[str, OutOfFold]
    thresholds: Thresholds
    encoding_seconds: float
    reused: int


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
) -> TrainingResult:
    """Train a model and save it.

    Parameters
    ----------
    labels, taxonomy:
        One label per paper, with tags of the taxonomy.
    settings, folder:
        How to train, and the folder to save the model in.
    progress:
        Called with the stage, steps done and steps in all.
    known_folds:
        Fold, from 0, of each paper, by id, that has to stay in the fold of an earlier version.
    source:
        A version whose encoder is reused, so that only heads and calibration are fitted. They are
        cross-validated with the encoders of that version's folds, so held-out papers stay unseen
        and metrics are comparable with those of a full training run. Encoders of folds that are
        not in the cache are fine-tuned again, on the labels of that version.
    cache:
        Cache of fine-tuned encoders, read and written; without it all encoders are trained.

    Raises
    ------
    TaggerError
        If there are too few labels, or the encoder cannot be loaded.
    """
    begin = time.perf_counter()
    data = TrainingData.of(labels, taxonomy)
    folds, plans = _plan_training(data, settings, dict(known_folds or {}), source)
    with closing(train_encoders(plans, cache, progress)) as encoders:
        if source:
            final = TrainedEncoder(OnnxEncoder(source.folder, settings.max_tokens), source.folder)
        else:
            final = next(encoders)
        final.save(folder)
        checked = cross_validate_on(
            data, folds, _training_indices(folds, settings), settings, encoders
        )
    _fit_final(data, settings, checked, final.encoder, folder)
    return TrainingResult(
        load_model(folder),
        folder,
        checked.out_of_fold,
        metrics_of(checked.out_of_fold),
        time.perf_counter() - begin,
        checked.reused + final.reused,
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
    with closing(train_encoders(plans, progress=progress)) as encoders:
        return cross_validate_on(
            data, folds, _training_indices(folds, settings), settings, encoders
        )


def plan_folds(
    data: TrainingData, settings: TrainingSettings, known: Mapping[str, int] | None = None
) -> Integers:
    """Return the fold that holds each paper out, from 0, shape (papers,).

    Papers keep the folds of ``known``, by id, unless a fold would then be empty. Raises a
    TaggerError if there are too few labels, in all or outside of one fold.
    """
    data.check_enough(settings.folds)
    for kept in (known, None):
        folds = assign_folds(data.ids, data.strata(), settings.folds, settings.seed, kept)
        if len(set(folds.tolist())) == settings.folds:
            break
    for fold in range(settings.folds):
        if not data.has_two_tags(np.flatnonzero(folds != fold)):
            raise TaggerError(
                "an exclusive facet has too few labels for cross-validation: all papers outside "
                f"of fold {fold + 1} have the same tag",
                hint="Add labels of its other tags, or remove the facet from the taxonomy",
            )
    return folds


def plan_encoder(
    data: TrainingData, indices: Integers, settings: TrainingSettings, stage: str
) -> EncoderPlan:
    """Return the inputs of fine-tuning an encoder on some papers."""
    texts, targets = fine_tuning_inputs(data, indices, title_views=settings.title_views)
    return EncoderPlan(stage, texts, targets, settings)


def metrics_of(out_of_fold: Sequence[HeldOut]) -> dict[str, float]:
    """Return the metrics of all facets, under keys such as ``contribution/macro_f1``."""
    return {
        f"{held_out.facet.name}/{key}": value
        for held_out in out_of_fold
        for key, value in held_out.metrics().items()
    }


@dataclass(frozen=True)
class FittedHeads:
    """Heads fitted on some papers.

    ``vectorizer`` is a fitted ``TfidfVectorizer``. ``vectors`` are those of the papers' texts, then
    of their other views, shape (views * papers, dimensions).
    """

    heads: list[Head]
    vectorizer: Any
    vectors: Vectors

    def scores(self, papers: Sequence[Paper], vectors: Vectors) -> dict[str, Floats]:
        """Return the scores of papers per facet, shape (members, papers, tags).

        ``vectors`` are those of the papers, shape (papers, dimensions).
        """
        terms = self.vectorizer.transform(papers)
        return {head.facet.name: head.scores(vectors, terms) for head in self.heads}


def fit_heads(
    data: TrainingData,
    indices: Integers,
    settings: TrainingSettings,
    encoder: Encoder,
    calibrations: Mapping[str, Calibration] | None = None,
) -> FittedHeads:
    """Fit heads on some papers, of which tags without a label are told by their definitions.

    ``calibrations`` of the scores, by facet, are known once there are out-of-fold predictions.
    """
    views = encoder.encode(data.views(indices, title_views=settings.title_views))
    vectorizer = fit_vectorizer(data.papers(indices))
    terms = vectorizer.transform(data.papers(indices))
    heads = []
    for facet in data.taxonomy.facets:
        annotated = data.annotated[facet.name][indices]
        y_true = data.y_true[facet.name][indices][annotated]
        shown = views[np.tile(annotated, len(views) // len(indices))]
        heads.append(
            fit_head(
                facet,
                shown,
                terms[annotated],
                y_true,
                prototypes(facet, encoder),
                calibrations[facet.name] if calibrations else None,
            )
        )
    return FittedHeads(heads, vectorizer, views)


def cross_validate_on(
    data: TrainingData,
    folds: Integers,
    train_indices: Sequence[Integers],
    settings: TrainingSettings,
    encoders: Iterator[TrainedEncoder],
) -> CrossValidation:
    """Fit heads for each fold and predict the papers that it holds out.

    ``folds`` has the fold of each paper, from 0, shape (papers,). ``train_indices`` has, for each
    fold, the indices of the papers to fit on; papers of folds beyond these are not predicted.
    ``encoders`` gives, for each fold, an encoder fine-tuned on the same papers.
    """
    predicted = folds < len(train_indices)
    held_out = {name: annotated & predicted for name, annotated in data.annotated.items()}
    similarities = {view: np.zeros(len(folds)) for view in TEXT_VIEWS}
    scores = {
        view: {name: np.zeros((len(MEMBERS), *t.shape)) for name, t in data.y_true.items()}
        for view in TEXT_VIEWS
    }
    seconds, reused = 0.0, 0
    for fold, indices in enumerate(train_indices):
        test_indices = np.flatnonzero(folds == fold)
        papers, trained = data.papers(test_indices), next(encoders)
        fitted = fit_heads(data, indices, settings, trained.encoder)
        for view, text_of in TEXT_VIEWS.items():
            begin = time.perf_counter()
            vectors = trained.encoder.encode([text_of(paper) for paper in papers])
            seconds += (time.perf_counter() - begin) * (view == "whole")
            similarities[view][test_indices] = similarity(vectors, fitted.vectors[: len(indices)])
            for name, values in fitted.scores(papers, vectors).items():
                scores[view][name][:, test_indices] = values
        reused += trained.reused
    measured = replace(data, annotated=held_out)
    views = {
        view: calibrate_view(measured, folds, scores[view], similarities[view])
        for view in TEXT_VIEWS
    }
    efforts = out_of_fold_by_effort(views)
    thresholds: dict[str, dict[str, float]] = {effort: {} for effort in efforts}
    out_of_fold = []
    for facet in data.taxonomy.facets:
        name, indices = facet.name, np.flatnonzero(held_out[facet.name])
        for effort, found in efforts.items():
            y_true, probabilities = data.y_true[name][indices], found.probabilities[name][indices]
            thresholds[effort][name] = fit_threshold(facet, y_true, probabilities)
        probabilities = efforts["full"].probabilities[name][indices]
        threshold = thresholds["full"][name]
        out_of_fold.append(data.held_out(facet, indices, folds, probabilities, threshold))
    return CrossValidation(tuple(out_of_fold), views, efforts, thresholds, seconds, reused)


def _training_indices(folds: Integers, settings: TrainingSettings) -> list[Integers]:
    """Return, for each fold, the indices of the papers that it does not hold out."""
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
        folds = plan_folds(data, settings, known_folds)
        final = plan_encoder(data, np.arange(len(data.labels)), settings, "Final model")
        # The longest training comes first, since the last ones may not share the cores.
        final = replace(final, float32=settings.float32)
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
    vectors = fitted.vectors[: len(data.labels)]
    reference = Reference(
        tuple(data.ids),
        tuple(label.title for label in data.labels),
        vectors,
        data.y_true,
        data.annotated,
        checked.efforts,
    )
    lexical = LexicalFeatures(
        tuple(fitted.vectorizer.get_feature_names_out()), fitted.vectorizer.idf_
    )
    calibrations = {view: found.calibrations for view, found in checked.views.items()}
    save_heads(
        folder,
        data.taxonomy,
        lexical,
        fitted.heads,
        reference,
        max_tokens=settings.max_tokens,
        calibrations=calibrations,
        thresholds=checked.thresholds,
    )
