"""Labels to a model: fine-tuning, heads, calibration and cross-validation.

Everything that is measured is measured on papers that neither encoder, heads nor calibration had
seen: each fold fine-tunes an encoder of its own.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from tagger import __version__
from tagger.cascade import (
    HeldOutReading,
    calibrate_after,
    calibrate_reading,
    calibrations_of,
    learn_efforts,
)
from tagger.compatibility import Answers, Champion, Compatibility, Guidance, guide
from tagger.encoder import (
    BUNDLED_ENCODER,
    DEFAULT_MAX_TOKENS,
    Encoder,
    Vectors,
)
from tagger.encoder_cache import EncoderCache
from tagger.encoder_training import (
    EncoderPlan,
    TrainedEncoder,
    TrainingProgress,
    train_encoders,
)
from tagger.errors import TaggerError
from tagger.evaluation import HeldOut, Integers, evaluate
from tagger.fine_tuning import ContrastiveTarget, FineTuning
from tagger.folds import assign_folds
from tagger.head_training import cross_calibrate, fit_head, keep_scores
from tagger.heads import PARTS, Floats, Head
from tagger.labels import Label
from tagger.lexical import LexicalFeatures, fit_lexical_features
from tagger.model import TaggerModel, load_model, save_heads
from tagger.reading import READINGS
from tagger.reference import Reference, familiarity
from tagger.taxonomy import Taxonomy
from tagger.training_data import TrainingData
from tagger.training_texts import TrainingTexts, views_of
from tagger.weight_change import WeightChange, fingerprint
from tagger.zero_shot import encode_descriptions

_FACET_WEIGHT = {True: 1.0, False: 0.5}
"""Share in the loss of an exclusive facet and of any other: the bundled encoder, as it comes,
already knows far more of what papers are about than of what they contribute."""

_CURVE_SHARES = (0.25, 0.5)
_CURVE_FOLDS = 2
"""The learning curve is drawn on two folds: on all of them it would double the work."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Settings of a training run, all of them logged.

    Parameters
    ----------
    encoder:
        ``"bundled-minilm"``, a folder or the name of a sentence-transformers model.
    max_tokens:
        Length at which texts are cut, in training as in tagging.
    epochs, batch_size, learning_rate, temperature, projection_dimensions:
        Of the contrastive fine-tuning.
    folds:
        Of the cross-validation that the metrics and the calibration come from.
    seed:
        Of everything that is drawn by chance.
    title_views:
        Whether the title alone is one more example of its paper, in the fine-tuning and for the
        heads. It says what counts in a few words, and keeps a model from leaning on what abstracts
        of the labels happen to have in common.
    compatible_with:
        Name of the version whose right answers are to be kept, or None.
    encoder_of:
        Name of the version whose fine-tuned encoder is taken as it is, or None.
    """

    encoder: str = BUNDLED_ENCODER
    max_tokens: int = DEFAULT_MAX_TOKENS
    epochs: int = 6
    batch_size: int = 32
    learning_rate: float = 1.5e-4
    temperature: float = 0.1
    projection_dimensions: int = 128
    folds: int = 5
    seed: int = 0
    title_views: bool = True
    compatible_with: str | None = None
    encoder_of: str | None = None

    def fingerprint(self, taxonomy: Taxonomy, labels: Sequence[Label]) -> str:
        """Return a hash of all that a model is made from: equal inputs, equal model."""
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


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """How good a model is that was trained on part of the labels.

    Parameters
    ----------
    labels:
        How many it was trained on.
    held_out:
        Per facet, what it says of papers that it had not seen: the same ones at each point.
    """

    labels: int
    held_out: dict[str, HeldOut]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A trained model and what is known of it.

    ``left`` is what a later training needs that is to be compatible with this one, or None if only
    heads were fitted; ``metrics`` has keys such as ``contribution/macro_f1`` and
    ``domain/f1/legal``; ``reused`` is how many encoders were there from an earlier training.
    """

    model: TaggerModel
    folder: Path
    out_of_fold: tuple[HeldOut, ...]
    left: Compatibility | None
    learning_curve: tuple[LearningPoint, ...]
    metrics: dict[str, float]
    seconds: float
    reused: int = 0


def train(
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    folder: Path,
    progress: TrainingProgress | None = None,
    *,
    champion: Champion | None = None,
    known_folds: Mapping[str, int] | None = None,
    learning_curve: bool = True,
    encoders: EncoderCache | None = None,
) -> TrainingResult:
    """Train a model and save it.

    Parameters
    ----------
    labels:
        One a paper.
    taxonomy:
        What the labels are in terms of.
    settings:
        Settings of the run.
    folder:
        Where the model is saved.
    progress:
        Called as the work goes on.
    champion:
        A model whose right answers are to be kept: its encoder and the new one are averaged, and
        its scores of the labelled papers that it has right are targets beside the labels.
    known_folds:
        Folds, from 0, that papers were held out in before and are to stay in.
    learning_curve:
        Whether to train on parts of the labels, too, which takes a quarter longer; not done with
        a champion, whose guidance would be part of what the curve shows.
    encoders:
        Where fine-tuned encoders are kept, for a training of the same papers and tags.

    Raises
    ------
    TaggerError
        If the labels are too few, the encoder cannot be loaded, or the champion is of another
        kind.
    """
    begin = time.perf_counter()
    data = TrainingData.of(labels, taxonomy)
    data.check_enough(settings.folds)
    if champion and not champion.facets(taxonomy):
        raise TaggerError(
            f"{champion.model.name} shares no facet with the taxonomy",
            hint="Train without --compatible-with",
        )
    if champion:
        _check_encoder(champion, settings)
        if len(champion.left.folds) == settings.folds:
            known_folds = {**(known_folds or {}), **champion.folds_of_papers()}
    folds = plan_folds(data, settings, known_folds)
    check_folds(data, folds, settings, champion)
    task = _Task(data, settings, champion)
    of_folds, final = _fold_fits(task, folds), _final_fit(task)
    drawn = learning_curve and champion is None
    parts = _parts_of_folds(task, folds) if drawn else []
    # The longest first: the last ones are made beside nothing else.
    fits = [final, *of_folds, *(fit for part in parts for fit in part)]
    plans = [task.plan(fit) for fit in fits]
    with closing(train_encoders(plans, encoders, progress)) as trained:
        made = _Counted(trained)
        of_all = next(made)
        of_all.save(folder)
        checked = _cross_validate(task, folds, of_folds, made)
        curve = _learning_curve(task, folds, parts, checked, made) if drawn else ()
        _fit_final(task, final, checked, of_all.encoder, folder)
    return TrainingResult(
        load_model(folder),
        folder,
        checked.out_of_fold,
        Compatibility(of_all.change, checked.answers),
        curve,
        metrics_of(checked.out_of_fold),
        time.perf_counter() - begin,
        made.reused,
    )


@dataclass(frozen=True)
class _Fit:
    """An encoder and heads that are to learn from some of the papers, by guidance on these."""

    stage: str
    rows: Integers
    guidance: Guidance | None = None


@dataclass(frozen=True)
class _Task:
    """What is to be learned, how, and by whose guidance."""

    data: TrainingData
    settings: TrainingSettings
    champion: Champion | None = None

    def plan(self, fit: _Fit) -> EncoderPlan:
        """Return what the encoder of a fit is made from."""
        settings = self.settings
        shown = TrainingTexts.of(self.data, fit.rows, title_views=settings.title_views)
        targets = {
            facet.name: ContrastiveTarget(
                shown.truth[facet.name], shown.judged[facet.name], _FACET_WEIGHT[facet.exclusive]
            )
            for facet in self.data.taxonomy.facets
        }
        names = {field.name for field in fields(FineTuning)}
        tuning = FineTuning(**{k: v for k, v in asdict(settings).items() if k in names})
        near = None
        if fit.guidance:
            # Each encoder counts by the labels that it learned from.
            known = fit.guidance.labels
            near = fit.guidance.change, known / (known + len(fit.rows))
        return EncoderPlan(fit.stage, shown.texts, targets, tuning, near)


class _Counted(Iterator[TrainedEncoder]):
    """Encoders, and how many of them were there from an earlier training."""

    def __init__(self, encoders: Iterator[TrainedEncoder]) -> None:
        self.encoders = encoders
        self.reused = 0

    def __next__(self) -> TrainedEncoder:
        made = next(self.encoders)
        self.reused += made.reused
        return made


def metrics_of(out_of_fold: Sequence[HeldOut]) -> dict[str, float]:
    """Return the figures of all facets, under keys such as ``contribution/macro_f1``."""
    return {
        f"{held_out.facet.name}/{key}": value
        for held_out in out_of_fold
        for key, value in evaluate(held_out.facet, held_out.truth, held_out.probabilities).items()
    }


def cross_validate(
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    progress: TrainingProgress | None = None,
) -> CrossValidation:
    """Measure settings on labels, without a model to show for it.

    Equal labels, folds and seed give equal folds, whatever the other settings are.

    Parameters
    ----------
    labels, taxonomy, settings, progress:
        As for :func:`train`.

    Raises
    ------
    TaggerError
        If the labels are too few or the encoder cannot be loaded.
    """
    data = TrainingData.of(labels, taxonomy)
    data.check_enough(settings.folds)
    folds = plan_folds(data, settings, None)
    check_folds(data, folds, settings, None)
    task = _Task(data, settings)
    fits = _fold_fits(task, folds)
    with closing(train_encoders([task.plan(fit) for fit in fits], progress=progress)) as encoders:
        return _cross_validate(task, folds, fits, encoders)


def plan_folds(
    data: TrainingData, settings: TrainingSettings, known: Mapping[str, int] | None
) -> Integers:
    """Return which fold holds each paper out, from 0, shape (papers,).

    Parameters
    ----------
    data, settings:
        The labels, and in how many folds.
    known:
        Folds of papers that are to stay in them.
    """

    def plan(known: Mapping[str, int] | None) -> Integers:
        return assign_folds(data.ids, data.strata(), settings.folds, settings.seed, known)

    folds = plan(known)
    # Where labels were taken away, a fold may be left without a paper.
    return folds if len(set(folds.tolist())) == settings.folds else plan(None)


def check_folds(
    data: TrainingData, folds: Integers, settings: TrainingSettings, champion: Champion | None
) -> None:
    """Find out before the training starts what would stop it half-way.

    Parameters
    ----------
    data, folds, settings, champion:
        As they go into the training.

    Raises
    ------
    TaggerError
        If a fold cannot be trained, or guided by the champion.
    """
    for fold in range(settings.folds):
        if not data.can_teach(np.flatnonzero(folds != fold)):
            raise TaggerError(
                "an exclusive facet has too few labels for cross-validation: with fold "
                f"{fold + 1} held out, all labels left have one tag",
                hint="Add labels of its other tags, or take the facet out of the taxonomy",
            )
        unseen = data.ids_of(np.flatnonzero(folds == fold))
        if champion and not champion.answers_without(set(unseen)):
            raise TaggerError(
                f"no fold of {champion.model.name} can guide fold {fold + 1}: each has seen papers "
                "that it holds out",
                hint="Train without --compatible-with"
                if len(champion.left.folds) == settings.folds
                else f"Train with --folds {len(champion.left.folds)}, or without --compatible-with",
            )


@dataclass(frozen=True)
class CrossValidation:
    """What the folds say of papers that they held out.

    Parameters
    ----------
    out_of_fold:
        Of judged papers, one a facet.
    readings:
        By the name of the reading, the whole among them.
    answers:
        Each fold, and what it says of the papers that it was trained on.
    encoding_seconds:
        How long encoding all papers once took, in parts.
    """

    out_of_fold: tuple[HeldOut, ...]
    readings: dict[str, HeldOutReading]
    answers: tuple[Answers, ...]
    encoding_seconds: float


def _fold_fits(task: _Task, folds: Integers) -> list[_Fit]:
    data, count = task.data, task.settings.folds
    fits = []
    for fold in range(count):
        unseen, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        guidance = data.guidance_without(unseen, rest, task.champion)
        fits.append(_Fit(f"Fold {fold + 1} of {count}", rest, guidance))
    return fits


def _final_fit(task: _Task) -> _Fit:
    data, champion = task.data, task.champion
    guidance = None
    if champion:
        answers = champion.answers(data.papers())
        guidance = guide(champion, answers, data.ids, data.truth, data.taxonomy)
    return _Fit("Final model", np.arange(len(data.labels)), guidance)


def _cross_validate(
    task: _Task, folds: Integers, fits: Sequence[_Fit], encoders: Iterator[TrainedEncoder]
) -> CrossValidation:
    data = task.data
    nearness = {reading: np.zeros(len(folds)) for reading in READINGS}
    scores = {
        reading: {name: np.zeros((len(PARTS), *t.shape)) for name, t in data.truth.items()}
        for reading in READINGS
    }
    answers, seconds = [], 0.0
    for fold, fit in enumerate(fits):
        unseen, rest = np.flatnonzero(folds == fold), fit.rows
        fitted = _fit(task, fit, next(encoders))
        ids, seen = tuple(data.ids_of(rest)), fitted.views[: len(rest)]
        taught = frozenset(ids) | (fit.guidance.seen if fit.guidance else frozenset())
        said = fitted.scores(data, rest, seen)
        answers.append(Answers(ids, taught, len(ids), said, fitted.change))
        for reading, read in READINGS.items():
            begin = time.perf_counter()
            vectors = fitted.encoder.encode([read(paper) for paper in data.papers(unseen)])
            if reading == "whole":
                seconds += time.perf_counter() - begin
            nearness[reading][unseen] = familiarity(vectors, seen)
            for name, values in fitted.scores(data, unseen, vectors).items():
                scores[reading][name][:, unseen] = values
    readings = {
        reading: calibrate_reading(data, folds, scores[reading], nearness[reading])
        for reading in READINGS
    }
    if task.champion:
        kept = [facet.name for facet in task.champion.facets(data.taxonomy)]
        for reading, earlier in calibrations_of(task.champion.model).items():
            usual = {name: earlier[name] for name in kept}
            readings[reading] = calibrate_after(readings[reading], data, usual)
    out_of_fold = []
    for facet in data.taxonomy.facets:
        rows = np.flatnonzero(data.judged[facet.name])
        honest = readings["whole"].foreseen.probabilities[facet.name][rows]
        out_of_fold.append(data.held_out(facet, rows, folds, honest))
    return CrossValidation(tuple(out_of_fold), readings, tuple(answers), seconds)


def _fit_final(
    task: _Task, fit: _Fit, checked: CrossValidation, encoder: Encoder, folder: Path
) -> None:
    """Fit heads on all papers and save them, beside the encoder, as a model."""
    data, settings = task.data, task.settings
    vectors = encoder.encode(views_of(data, fit.rows, title_views=settings.title_views))
    lexical = fit_lexical_features(data.papers())
    whole = checked.readings["whole"]
    heads = [
        replace(head, calibration=whole.calibrations[head.facet.name])
        for head in fit_heads(
            data,
            fit.rows,
            vectors,
            encode_descriptions(data.taxonomy, encoder),
            lexical,
            fit.guidance,
            measured=False,
        )
    ]
    efforts, foreseen = learn_efforts(data, checked.readings)
    reference = Reference(
        tuple(data.ids),
        tuple(label.title for label in data.labels),
        vectors[: len(data.labels)],
        whole.foreseen.familiarity,
        whole.foreseen.probabilities,
        data.truth,
        data.judged,
        foreseen,
    )
    save_heads(folder, data.taxonomy, lexical, heads, reference, settings.max_tokens, efforts)


@dataclass(frozen=True)
class _Fitted:
    """What was learned from some of the papers: ``views`` are the vectors of all their texts."""

    encoder: Encoder
    change: WeightChange
    lexical: LexicalFeatures
    heads: list[Head]
    views: Vectors

    def scores(self, data: TrainingData, rows: Integers, vectors: Vectors) -> dict[str, Floats]:
        terms = self.lexical.transform(data.papers(rows))
        return {head.facet.name: head.scores(vectors, terms) for head in self.heads}


def _fit(task: _Task, fit: _Fit, made: TrainedEncoder) -> _Fitted:
    """Fit heads on some of the papers, whose encoder is made."""
    data, rows, encoder = task.data, fit.rows, made.encoder
    vectors = encoder.encode(views_of(data, rows, title_views=task.settings.title_views))
    lexical = fit_lexical_features(data.papers(rows))
    descriptions = encode_descriptions(data.taxonomy, encoder)
    heads = fit_heads(data, rows, vectors, descriptions, lexical, fit.guidance, measured=True)
    return _Fitted(encoder, made.change, lexical, heads, vectors)


def _check_encoder(champion: Champion, settings: TrainingSettings) -> None:
    """Find out before the training starts whether encoders can be averaged."""
    from tagger.encoder import load_trainable

    if not settings.epochs:
        raise TaggerError(
            "an encoder that is not fine-tuned cannot be made compatible",
            hint="Train with epochs, or without a champion",
        )
    base = fingerprint(load_trainable(settings.encoder, settings.max_tokens))
    if base != champion.left.change.base:
        raise TaggerError(
            f"{champion.model.name} was fine-tuned from another encoder than '{settings.encoder}'",
            hint="Train with the same --encoder, or without --compatible-with",
        )


def fit_heads(
    data: TrainingData,
    rows: Integers,
    views: Vectors,
    descriptions: Mapping[str, Vectors],
    lexical: LexicalFeatures,
    guidance: Guidance | None,
    *,
    measured: bool,
) -> list[Head]:
    """Fit heads on some papers, given the vectors of all their views, one view after the other.

    Tags without labels are told by their definitions and examples. Where heads are ``measured`` by
    labels, those that no paper at all has are not given: nobody was asked about them.
    """
    terms = lexical.transform(data.papers(rows))
    vectors = views[: len(rows)]
    heads = []
    for facet in data.taxonomy.facets:
        chosen = data.judged[facet.name][rows]
        truth = data.truth[facet.name][rows][chosen]
        shown = views[np.tile(chosen, len(views) // len(rows))]
        told = np.asarray(~truth.any(axis=0))
        if measured:
            told &= data.truth[facet.name].any(axis=0)
        head = fit_head(facet, shown, terms[chosen], truth, descriptions[facet.name], told)
        if guidance and facet.name in guidance.soft:
            soft = guidance.soft[facet.name].take(chosen)
            head = keep_scores(head, vectors[chosen], terms[chosen], truth, soft)
        heads.append(head)
    return heads


def _parts_of_folds(task: _Task, folds: Integers) -> list[list[_Fit]]:
    """Return, for each point of the learning curve, what is trained without each of its folds."""
    data = task.data
    known = [_in_turns(np.flatnonzero(folds != fold), data.strata()) for fold in _curve_folds(task)]
    points = []
    for share in _CURVE_SHARES:
        parts = [rows[: round(share * len(rows))] for rows in known]
        if all(data.can_teach(part) for part in parts):
            stage = f"Learning curve, {share:.0%} of fold"
            points.append([_Fit(f"{stage} {n}", part) for n, part in enumerate(parts, start=1)])
    return points


def _curve_folds(task: _Task) -> range:
    return range(min(_CURVE_FOLDS, task.settings.folds))


def _learning_curve(
    task: _Task,
    folds: Integers,
    parts: Sequence[Sequence[_Fit]],
    checked: CrossValidation,
    encoders: Iterator[TrainedEncoder],
) -> tuple[LearningPoint, ...]:
    """Measure what was trained on parts of the labels; the folds say the last point anyway."""
    data, chosen = task.data, _curve_folds(task)
    measured = {
        held_out.facet.name: held_out.take(np.flatnonzero(held_out.folds <= len(chosen)))
        for held_out in checked.out_of_fold
    }
    points = []
    for part in parts:
        scores = {name: np.zeros((len(PARTS), *t.shape)) for name, t in data.truth.items()}
        for fold, fit in zip(chosen, part, strict=True):
            unseen = np.flatnonzero(folds == fold)
            fitted = _fit(task, fit, next(encoders))
            vectors = fitted.encoder.encode(data.texts(unseen))
            for name, values in fitted.scores(data, unseen, vectors).items():
                scores[name][:, unseen] = values
        held_out = {}
        for name, part_of in measured.items():
            rows = np.flatnonzero(data.judged[name] & (folds < len(chosen)))
            own = [np.flatnonzero(folds[rows] == fold) for fold in chosen]
            honest = cross_calibrate(
                part_of.facet, data.truth[name][rows], scores[name][:, rows], own
            )
            held_out[name] = replace(part_of, probabilities=honest)
        points.append(LearningPoint(min(len(fit.rows) for fit in part), held_out))
    size = min(int((folds != fold).sum()) for fold in chosen)
    return (*points, LearningPoint(size, measured))


def _in_turns(rows: Integers, strata: Sequence[int]) -> Integers:
    """Order papers so that kinds take turns: any first part of them has all kinds."""
    seen: Counter[int] = Counter()
    turns = []
    for row in rows:
        turns.append(seen[strata[row]])
        seen[strata[row]] += 1
    return rows[np.argsort(turns, kind="stable")]
