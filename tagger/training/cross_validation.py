"""Cross-validation: fit heads for each fold, predict the papers that it holds out, calibrate.

Calibrations and thresholds are fitted on the out-of-fold predictions of all folds. For the metrics,
the predictions of a fold are calibrated on those of the other folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tagger._util.arrays import Floats, Integers, Vectors
from tagger.evaluation import HeldOut
from tagger.model import (
    MEMBERS,
    Calibration,
    Encoder,
    Head,
    LexicalFeatures,
    cue_weights,
    cues_of,
    head_of_definitions,
    prototypes,
    similarity,
    typical_vector,
)
from tagger.papers import EFFORTS, TEXT_VIEWS, Paper
from tagger.training.calibration import Calibrated, calibrate_effort, calibrate_view
from tagger.training.data import TrainingData
from tagger.training.encoders import TrainedEncoder
from tagger.training.heads import HeadInputs, fit_lexical, lexical_terms
from tagger.training.recipes import load_recipe
from tagger.training.settings import TrainingSettings


@dataclass(frozen=True)
class CrossValidation:
    """Out-of-fold predictions, and the calibrations and thresholds fitted on them.

    ``out_of_fold`` has one table per facet with labels, of the papers annotated in it, at full
    effort. ``views`` is by text view, ``efforts`` by effort. ``seconds_per_100`` is the time to
    encode 100 papers, ``encoder_megabytes`` the size of one exported encoder. ``reused`` counts the
    encoders taken from the cache.
    """

    out_of_fold: tuple[HeldOut, ...]
    views: dict[str, Calibrated]
    efforts: dict[str, Calibrated]
    seconds_per_100: float
    encoder_megabytes: float
    reused: int


@dataclass(frozen=True)
class FittedHeads:
    """Heads fitted on some papers.

    ``vectors`` are those of the papers' texts, then of their other views, shape (views * papers,
    dimensions).
    """

    heads: list[Head]
    lexical: LexicalFeatures
    vectors: Vectors

    def scores(self, papers: Sequence[Paper], vectors: Vectors) -> dict[str, Floats]:
        """Return the scores of papers per facet, shape (members, papers, tags).

        ``vectors`` are those of the papers, shape (papers, dimensions).
        """
        terms = self.lexical.transform(papers)
        return {head.facet.name: head.scores(vectors, terms) for head in self.heads}


def fit_heads(
    data: TrainingData,
    indices: Integers,
    settings: TrainingSettings,
    encoder: Encoder,
    calibrations: Mapping[str, Calibration] | None = None,
) -> FittedHeads:
    """Fit heads on some papers, by the recipe of the settings.

    The tags of a facet in which no paper is labelled come from their definitions. The words of the
    sentence about the authors' own work are used in exclusive facets only: they tell the kind of a
    paper rather than its topics. ``calibrations`` of the scores, by facet, are known once there are
    out-of-fold predictions.
    """
    views = encoder.encode(data.views(indices, title_views=settings.title_views))
    papers = data.papers(indices)
    lexical = fit_lexical(papers, cues_of(data.taxonomy))
    terms = lexical_terms(lexical, papers)
    topical = terms.multiply(~lexical.of_own_work).tocsr()
    definitions = {facet.name: prototypes(facet, encoder) for facet in data.taxonomy.facets}
    heads, recipe = [], load_recipe(settings, data.taxonomy)
    for facet in data.taxonomy.facets:
        annotated = data.annotated[facet.name][indices]
        by_cue = cue_weights(data.taxonomy, facet, terms.shape[1])
        if not annotated.any():
            typical = typical_vector(views[: len(indices)])
            heads.append(head_of_definitions(facet, definitions, typical, by_cue))
            continue
        y_true = data.y_true[facet.name][indices][annotated]
        shown = views[np.tile(annotated, len(views) // len(indices))]
        given = HeadInputs(
            facet,
            shown,
            (terms if facet.exclusive else topical)[annotated],
            y_true,
            definitions[facet.name],
            calibrations[facet.name] if calibrations else None,
            by_cue,
        )
        heads.append(recipe.fit_head(given))
    return FittedHeads(heads, lexical, views)


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
    seconds, megabytes, reused = 0.0, 0.0, 0
    for fold, indices in enumerate(train_indices):
        test_indices = np.flatnonzero(folds == fold)
        papers, trained = data.papers(test_indices), next(encoders)
        fitted = fit_heads(data, indices, settings, trained.encoder)
        for view, text_of in TEXT_VIEWS.items():
            vectors = trained.encoder.encode([text_of(paper) for paper in papers])
            similarities[view][test_indices] = similarity(vectors, fitted.vectors[: len(indices)])
            for name, values in fitted.scores(papers, vectors).items():
                scores[view][name][:, test_indices] = values
        reused += trained.reused
        if fold == len(train_indices) - 1:
            seconds = trained.seconds_per_100(papers, settings.max_tokens)
            megabytes = trained.megabytes
    measured = replace(data, annotated=held_out)
    views = {
        view: calibrate_view(measured, folds, scores[view], similarities[view])
        for view in TEXT_VIEWS
    }
    efforts = {
        effort: calibrate_effort(measured, folds, [views[name] for name in names])
        for effort, names in EFFORTS.items()
    }
    out_of_fold = []
    for facet in data.taxonomy.facets:
        name, indices = facet.name, np.flatnonzero(held_out[facet.name])
        probabilities = efforts["full"].out_of_fold.probabilities[name][indices]
        threshold = efforts["full"].thresholds[name]
        if data.annotated[name].any():
            rest = probabilities, threshold, views["whole"].calibrations[name].capped
            out_of_fold.append(data.held_out(facet, indices, folds, *rest))
    return CrossValidation(tuple(out_of_fold), views, efforts, seconds, megabytes, reused)
