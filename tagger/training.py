"""Labels to a model: fine-tuning, heads, calibration and cross-validation.

Everything that is measured is measured on papers that neither encoder, heads nor calibration had
seen: each fold fine-tunes an encoder of its own.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagger import __version__
from tagger.encoder import (
    BUNDLED_ENCODER,
    DEFAULT_MAX_TOKENS,
    OnnxEncoder,
    TorchEncoder,
    Vectors,
    export_onnx,
)
from tagger.errors import TaggerError
from tagger.evaluation import evaluate
from tagger.heads import PARTS, Calibration, Floats, Head, Linear, probabilities
from tagger.labels import Label
from tagger.lexical import fit_lexical_features
from tagger.model import TaggerModel, load_model, save_heads
from tagger.taxonomy import Facet, Taxonomy

_ENCODER_C = {True: 1.0, False: 10.0}
_LEXICAL_C = 10.0
"""Freedom of the weights, for exclusive facets and others: scikit-learn's C."""

TrainingProgress = Callable[[str, int, int], None]
"""Called with the stage, steps done and steps in all."""

_FACET_WEIGHT = {True: 1.0, False: 0.5}
"""Share in the loss of an exclusive facet and of any other: the bundled encoder, as it comes,
already knows far more of what papers are about than of what they contribute."""


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
    """

    encoder: str = BUNDLED_ENCODER
    max_tokens: int = DEFAULT_MAX_TOKENS
    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = 3e-5
    temperature: float = 0.1
    projection_dimensions: int = 128
    folds: int = 5
    seed: int = 0

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
class FacetData:
    """Truth and out-of-fold predictions of one facet, over the papers that were judged in it.

    Parameters
    ----------
    facet:
        The facet.
    rows:
        Shape (judged papers,): their places among the labels.
    truth:
        Shape (judged papers, tags).
    probabilities:
        Shape (judged papers, tags), calibrated without the paper itself.
    """

    facet: Facet
    rows: npt.NDArray[np.int_]
    truth: npt.NDArray[np.bool_]
    probabilities: Floats


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A trained model and what is known of it.

    ``metrics`` has keys such as ``contribution/macro_f1`` and ``domain/f1/legal``.
    """

    model: TaggerModel
    folder: Path
    out_of_fold: tuple[FacetData, ...]
    metrics: dict[str, float]
    seconds: float


def train(
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    folder: Path,
    progress: TrainingProgress | None = None,
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

    Raises
    ------
    TaggerError
        If the labels are too few, or the encoder cannot be loaded.
    """
    begin = time.perf_counter()
    memberships = {facet.name: _memberships(facet, labels) for facet in taxonomy.facets}
    judged = {facet.name: _judged(facet, labels) for facet in taxonomy.facets}
    _check_enough(taxonomy, memberships, judged, settings.folds)
    papers = [label.paper for label in labels]
    texts = [paper.text for paper in papers]
    everything = np.arange(len(labels))

    def fit_encoder(rows: npt.NDArray[np.int_], stage: str) -> TorchEncoder:
        # Imported here: reading settings and labels needs no PyTorch.
        from tagger.contrastive import ContrastiveTarget, FineTuning, fine_tune, tag_overlap

        targets = {
            facet.name: ContrastiveTarget(
                tag_overlap(memberships[facet.name][rows], judged[facet.name][rows]),
                _FACET_WEIGHT[facet.exclusive],
            )
            for facet in taxonomy.facets
        }
        names = {field.name for field in fields(FineTuning)}
        tuning = FineTuning(**{k: v for k, v in asdict(settings).items() if k in names})
        report = (lambda done, total: progress(stage, done, total)) if progress else None
        return TorchEncoder(fine_tune([texts[row] for row in rows], targets, tuning, report))

    def fit_head(facet: Facet, rows: npt.NDArray[np.int_], vectors: Vectors, terms: Floats) -> Head:
        chosen = judged[facet.name][rows]
        truth = memberships[facet.name][rows][chosen]
        return Head(
            facet,
            _fit_linear(facet, vectors[chosen], truth, _ENCODER_C[facet.exclusive]),
            _fit_linear(facet, terms[chosen], truth, _LEXICAL_C),
        )

    folds = _folds(taxonomy, memberships, settings)
    scores = {
        facet.name: np.zeros((len(PARTS), len(labels), len(facet.tags)))
        for facet in taxonomy.facets
    }
    for number, held_out in enumerate(folds, start=1):
        rest = np.setdiff1d(everything, held_out)
        encoder = fit_encoder(rest, f"Fold {number} of {len(folds)}")
        lexical = fit_lexical_features([papers[row] for row in rest])
        known, unseen = (
            (
                encoder.encode([texts[row] for row in rows]),
                lexical.transform([papers[row] for row in rows]),
            )
            for rows in (rest, held_out)
        )
        for facet in taxonomy.facets:
            scores[facet.name][:, held_out] = fit_head(facet, rest, *known).scores(*unseen)

    export_onnx(fit_encoder(everything, "Final model").model, folder)
    vectors = OnnxEncoder(folder, settings.max_tokens).encode(texts)
    lexical = fit_lexical_features(papers)
    terms = lexical.transform(papers)
    heads = []
    out_of_fold = []
    for facet in taxonomy.facets:
        rows = np.flatnonzero(judged[facet.name])
        truth, seen = memberships[facet.name][rows], scores[facet.name][:, rows]
        parts = [np.flatnonzero(np.isin(rows, fold)) for fold in folds]
        out_of_fold.append(
            FacetData(facet, rows, truth, _cross_calibrate(facet, truth, seen, parts))
        )
        calibration = fit_calibration(facet, truth, seen)
        head = fit_head(facet, everything, vectors, terms)
        heads.append(replace(head, calibration=calibration))
    save_heads(folder, taxonomy, lexical, heads, settings.max_tokens)
    metrics = {
        f"{data.facet.name}/{key}": value
        for data in out_of_fold
        for key, value in evaluate(data.facet, data.truth, data.probabilities).items()
    }
    return TrainingResult(
        load_model(folder), folder, tuple(out_of_fold), metrics, time.perf_counter() - begin
    )


def fit_calibration(facet: Facet, truth: npt.NDArray[np.bool_], scores: Floats) -> Calibration:
    """Fit the calibration of a facet on scores of papers that the head had not seen.

    Maximum likelihood, with a weak pull towards no change that decides where labels are few.

    Parameters
    ----------
    facet:
        The facet.
    truth:
        Shape (papers, tags).
    scores:
        Shape (parts, papers, tags).
    """
    from scipy.optimize import minimize

    def calibration_at(parameters: npt.NDArray[np.float64]) -> Calibration:
        *log_scales, shift = parameters
        scales = tuple(float(scale) for scale in np.exp(log_scales))
        return Calibration(scales, 0.0 if facet.exclusive else float(shift))

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        chances = probabilities(facet, scores, calibration_at(parameters))
        chances = np.clip(chances, 1e-12, 1 - 1e-12)
        if facet.exclusive:
            likelihood = np.log(chances[truth]).sum()
        else:
            likelihood = np.log(np.where(truth, chances, 1 - chances)).sum()
        return float(-likelihood + 0.5 * (parameters**2).sum())

    return calibration_at(minimize(loss, np.zeros(len(scores) + 1), method="Nelder-Mead").x)


def _cross_calibrate(
    facet: Facet,
    truth: npt.NDArray[np.bool_],
    scores: Floats,
    parts: Sequence[npt.NDArray[np.int_]],
) -> Floats:
    """Calibrate each part by what the other parts say, so that its figures stay honest."""
    calibrated = np.zeros(truth.shape)
    for part in parts:
        others = np.setdiff1d(np.arange(len(truth)), part)
        calibration = fit_calibration(facet, truth[others], scores[:, others])
        calibrated[part] = probabilities(facet, scores[:, part], calibration)
    return calibrated


def _memberships(facet: Facet, labels: Sequence[Label]) -> npt.NDArray[np.bool_]:
    return np.array(
        [
            [tag in given for tag in facet.tag_names]
            for label in labels
            for given in [facet.with_ancestors(label.tags.get(facet.name, ()))]
        ],
        dtype=bool,
    ).reshape(len(labels), len(facet.tags))


def _judged(facet: Facet, labels: Sequence[Label]) -> npt.NDArray[np.bool_]:
    return np.array([facet.name in label.tags for label in labels], dtype=bool)


def _check_enough(
    taxonomy: Taxonomy,
    memberships: dict[str, npt.NDArray[np.bool_]],
    judged: dict[str, npt.NDArray[np.bool_]],
    folds: int,
) -> None:
    for facet in taxonomy.facets:
        count = int(judged[facet.name].sum())
        if count < 2 * folds:
            raise TaggerError(
                f"{count} labels of the facet '{facet.name}' are too few to train on",
                hint=f"{folds}-fold cross-validation needs at least {2 * folds}",
            )
        used = int((memberships[facet.name].sum(axis=0) > 1).sum())
        if used < (2 if facet.exclusive else 1):
            raise TaggerError(
                f"the facet '{facet.name}' has too few tags with two labels or more to train on",
                hint="Add labels for it, or take the facet out of the taxonomy",
            )


def _folds(
    taxonomy: Taxonomy,
    memberships: dict[str, npt.NDArray[np.bool_]],
    settings: TrainingSettings,
) -> list[npt.NDArray[np.int_]]:
    """Split the papers into parts that are alike in the tags of the first exclusive facet."""
    from sklearn.model_selection import StratifiedKFold

    facet = next((facet for facet in taxonomy.facets if facet.exclusive), taxonomy.facets[0])
    members = memberships[facet.name]
    strata = np.where(members.any(axis=1), members.argmax(axis=1), len(facet.tags))
    splitter = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.seed)
    with warnings.catch_warnings():
        # A tag with fewer labels than folds is absent from some fold: known, and no harm.
        warnings.simplefilter("ignore", UserWarning)
        return [held_out for _, held_out in splitter.split(strata, strata)]


def _fit_linear(
    facet: Facet, features: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_], strength: float
) -> Linear:
    """Fit logistic regression; ``strength`` is scikit-learn's C, the freedom given to weights."""
    from sklearn.linear_model import LogisticRegression

    weights = np.zeros((len(facet.tags), features.shape[1]))
    # A tag without labels keeps no weights and the bias of something never seen.
    bias = np.full(len(facet.tags), -np.log(2.0 * len(features) + 1))

    def fit(answers: npt.NDArray[np.generic]) -> LogisticRegression:
        classifier = LogisticRegression(C=strength, max_iter=2000, class_weight="balanced")
        return classifier.fit(features, answers)

    if facet.exclusive:
        classifier = fit(truth.argmax(axis=1))
        known = classifier.classes_
        if len(known) == 2:
            weights[known] = np.concatenate([-classifier.coef_ / 2, classifier.coef_ / 2])
            bias[known] = np.concatenate([-classifier.intercept_ / 2, classifier.intercept_ / 2])
        else:
            weights[known], bias[known] = classifier.coef_, classifier.intercept_
    else:
        for column in range(len(facet.tags)):
            if 0 < truth[:, column].sum() < len(truth):
                classifier = fit(truth[:, column])
                weights[column], bias[column] = classifier.coef_[0], classifier.intercept_[0]
    return Linear(weights, bias)
