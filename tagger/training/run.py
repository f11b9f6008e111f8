"""Train a model from labels: encoders, heads, calibration and cross-validation.

Figures come from cross-validation: each fold has an encoder and heads of its own, which have not
seen the papers that it holds out. Calibrations are fitted on the predictions of all folds; those of
a fold, for its figures, on the predictions of the others.
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
from tagger._util.progress import Progress
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
    """Settings of a training run, all of them logged.

    Parameters
    ----------
    folds:
        Of the cross-validation that the metrics and the calibration come from.
    title_views:
        Whether the title alone is one more example of its paper, in the fine-tuning and for the
        heads. It says what counts in a few words, and keeps a model from leaning on what abstracts
        of the labels happen to have in common.
    float32:
        Whether the model has an encoder in 32 bits as well, which a GPU reads.
    encoder_of:
        Name of the version whose fine-tuned encoders are reused, or None.
    """

    folds: int = 5
    title_views: bool = True
    float32: bool = False
    encoder_of: str | None = None

    def fingerprint(self, taxonomy: Taxonomy, labels: Sequence[Label]) -> str:
        """Return a hash of all inputs of a training: equal inputs, equal model."""
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
    """A version whose encoders are reused: its model, its labels and, by the id of a paper, the
    fold that held it out, from 0."""

    name: str
    folder: Path
    data: TrainingData
    folds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A trained model and its figures; ``reused`` encoders came from the cache."""

    model: TaggerModel
    folder: Path
    out_of_fold: tuple[HeldOut, ...]
    metrics: dict[str, float]
    seconds: float
    reused: int = 0


@dataclass(frozen=True)
class CrossValidation:
    """Predictions of the folds for the papers that they held out.

    ``out_of_fold`` has one table a facet, of judged papers, with full effort; ``efforts`` and
    ``thresholds`` are by effort. ``encoding_seconds`` is the time to encode all papers once.
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
    progress: Progress | None = None,
    *,
    known_folds: Mapping[str, int] | None = None,
    source: EncoderSource | None = None,
    cache: EncoderCache | None = None,
) -> TrainingResult:
    """Train a model and save it.

    Parameters
    ----------
    labels, taxonomy, folder:
        One label a paper, the taxonomy that they are in terms of, and where the model is saved.
    known_folds:
        Folds, from 0, that papers were held out in before and are to stay in.
    source:
        A version whose encoder is taken, so that only heads and calibration are fitted. They are
        cross-validated on the encoders of that version's folds, which have not seen the papers that
        they hold out: figures mean the same as those of a whole training. Encoders of folds that
        are not in the cache are fine-tuned again, on the labels of that version.
    cache:
        Where encoders are looked for, and kept.

    Raises
    ------
    TaggerError
        If the labels are too few, or the encoder cannot be loaded.
    """
    begin = time.perf_counter()
    data = TrainingData.of(labels, taxonomy)
    fine_tuned, known = data, dict(known_folds or {})
    if source:
        fine_tuned, known = source.data, known | dict(source.folds)
    folds = held_out = plan_folds(data, settings, known)
    if source:
        held_out = np.array([source.folds.get(name, -1) for name in fine_tuned.ids])
        planned = dict(zip(data.ids, folds.tolist(), strict=True))
        if any(planned.get(name, fold) != fold for name, fold in source.folds.items()):
            raise TaggerError(
                f"the labels are too few to keep to the folds of {source.name}",
                hint="Train without --heads-only",
            )
    plans = _fold_plans(fine_tuned, held_out, settings)
    if source is None:
        # The longest first: the last ones are trained alone.
        plan = plan_encoder(data, np.arange(len(labels)), settings, "Final model")
        plans.insert(0, replace(plan, float32=settings.float32))
    with closing(train_encoders(plans, cache, progress)) as encoders:
        if source:
            final = TrainedEncoder(OnnxEncoder(source.folder, settings.max_tokens), source.folder)
        else:
            final = next(encoders)
        final.save(folder)
        checked = cross_validate_rows(data, folds, _rows(folds, settings), settings, encoders)
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
    progress: Progress | None = None,
) -> CrossValidation:
    """Measure settings on labels without making a model; parameters and errors as for ``train``."""
    data = TrainingData.of(labels, taxonomy)
    folds = plan_folds(data, settings)
    plans = _fold_plans(data, folds, settings)
    with closing(train_encoders(plans, progress=progress)) as encoders:
        return cross_validate_rows(data, folds, _rows(folds, settings), settings, encoders)


def plan_folds(
    data: TrainingData, settings: TrainingSettings, known: Mapping[str, int] | None = None
) -> Integers:
    """Return which fold holds each paper out, from 0, shape (papers,).

    Papers stay in the folds that are known, as far as no fold is left without a paper. A
    TaggerError says that the labels, or those outside of a fold, are too few to train on.
    """
    data.check_enough(settings.folds)
    for stay in (known, None):
        folds = assign_folds(data.ids, data.strata(), settings.folds, settings.seed, stay)
        if len(set(folds.tolist())) == settings.folds:
            break
    for fold in range(settings.folds):
        if not data.can_teach(np.flatnonzero(folds != fold)):
            raise TaggerError(
                "an exclusive facet has too few labels for cross-validation: with fold "
                f"{fold + 1} held out, all labels left have one tag",
                hint="Add labels of its other tags, or take the facet out of the taxonomy",
            )
    return folds


def plan_encoder(
    data: TrainingData, rows: Integers, settings: TrainingSettings, stage: str
) -> EncoderPlan:
    """Return the inputs of fine-tuning an encoder on some papers."""
    texts, targets = fine_tuning_inputs(data, rows, title_views=settings.title_views)
    return EncoderPlan(stage, texts, targets, settings)


def metrics_of(out_of_fold: Sequence[HeldOut]) -> dict[str, float]:
    """Return the figures of all facets, under keys such as ``contribution/macro_f1``."""
    return {
        f"{held_out.facet.name}/{key}": value
        for held_out in out_of_fold
        for key, value in held_out.metrics().items()
    }


@dataclass(frozen=True)
class FittedHeads:
    """Heads fitted on some papers; ``vectors`` are those of all views of these papers."""

    heads: list[Head]
    vectorizer: Any
    vectors: Vectors

    def scores(self, papers: Sequence[Paper], vectors: Vectors) -> dict[str, Floats]:
        """Return the scores of papers per facet, shape (members, papers, tags)."""
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


def cross_validate_rows(
    data: TrainingData,
    folds: Integers,
    rows: Sequence[Integers],
    settings: TrainingSettings,
    encoders: Iterator[TrainedEncoder],
) -> CrossValidation:
    """Fit heads on some rows for each fold, from 0, and predict the papers that it holds out.

    ``encoders`` were fine-tuned on the same rows. Papers of further folds are not predicted.
    """
    held_out = {name: annotated & (folds < len(rows)) for name, annotated in data.annotated.items()}
    similarities = {view: np.zeros(len(folds)) for view in TEXT_VIEWS}
    scores = {
        view: {name: np.zeros((len(MEMBERS), *t.shape)) for name, t in data.y_true.items()}
        for view in TEXT_VIEWS
    }
    seconds, reused = 0.0, 0
    for fold, shown in enumerate(rows):
        unseen = np.flatnonzero(folds == fold)
        papers, trained = data.papers(unseen), next(encoders)
        fitted = fit_heads(data, shown, settings, trained.encoder)
        for view, text_of in TEXT_VIEWS.items():
            begin = time.perf_counter()
            vectors = trained.encoder.encode([text_of(paper) for paper in papers])
            seconds += (time.perf_counter() - begin) * (view == "whole")
            similarities[view][unseen] = similarity(vectors, fitted.vectors[: len(shown)])
            for name, values in fitted.scores(papers, vectors).items():
                scores[view][name][:, unseen] = values
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
            known = data.y_true[name][indices], found.probabilities[name][indices]
            thresholds[effort][name] = fit_threshold(facet, *known)
        probabilities = efforts["full"].probabilities[name][indices]
        threshold = thresholds["full"][name]
        out_of_fold.append(data.held_out(facet, indices, folds, probabilities, threshold))
    return CrossValidation(tuple(out_of_fold), views, efforts, thresholds, seconds, reused)


def _rows(folds: Integers, settings: TrainingSettings) -> list[Integers]:
    """Return the rows that each fold does not hold out."""
    return [np.flatnonzero(folds != fold) for fold in range(settings.folds)]


def _fold_plans(
    data: TrainingData, folds: Integers, settings: TrainingSettings
) -> list[EncoderPlan]:
    return [
        plan_encoder(data, rows, settings, f"Fold {fold} of {settings.folds}")
        for fold, rows in enumerate(_rows(folds, settings), start=1)
    ]


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
