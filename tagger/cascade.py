"""When a short reading is enough: learned from papers that the folds held out.

A cascade answers what it is sure of cheaply and reads the rest in full (Viola and Jones, "Rapid
Object Detection using a Boosted Cascade of Simple Features", 2001). A paper is sure when the
calibrated probability of its least sure answer is high enough; how high is chosen so that the
F1 of the labelled papers stays within a stated loss of reading all of them whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tagger.decision import paper_confidence
from tagger.evaluation import Booleans, Integers, evaluate
from tagger.head_training import cross_calibrate, fit_calibration
from tagger.heads import Calibration, Floats, probabilities
from tagger.model import Stage
from tagger.reading import READINGS
from tagger.reference import Foreseen
from tagger.taxonomy import Facet, Taxonomy
from tagger.training_data import TrainingData

MAX_LOSS = 0.01
"""Of macro-F1 in an exclusive facet, of micro-F1 in any other."""

USUAL_THRESHOLD = 0.7
"""Where labels cannot tell; about what they say where they can."""

_LEAST_THRESHOLD = 0.5
"""However little the labels lose by it: an answer that is likelier wrong than right is not sure."""

_LEAST_PAPERS = 50
"""So many papers have to read otherwise in short than in full for the choice to be theirs."""


@dataclass(frozen=True)
class HeldOutReading:
    """What the folds say of the papers that they held out, by one reading.

    Parameters
    ----------
    calibrations:
        Per facet, fitted on all of them.
    foreseen:
        What is said of each, calibrated by the other folds where somebody judged it.
    scores:
        Per facet, shape (parts of the head, papers, tags): what that is made from.
    """

    calibrations: dict[str, Calibration]
    foreseen: Foreseen
    scores: Mapping[str, Floats]


def calibrate_reading(
    data: TrainingData,
    folds: Integers,
    scores: Mapping[str, Floats],
    familiarity: Floats,
) -> HeldOutReading:
    """Turn the scores of held-out papers into probabilities.

    Parameters
    ----------
    data:
        The labels.
    folds:
        Which fold held each paper out, from 0, shape (papers,).
    scores:
        Per facet, shape (parts of the head, papers, tags).
    familiarity:
        How near each paper is to those of the other folds, shape (papers,).
    """
    calibrations, chances = {}, {}
    for facet in data.taxonomy.facets:
        name = facet.name
        rows = np.flatnonzero(data.judged[name])
        truth, seen = data.truth[name][rows], scores[name][:, rows]
        parts = [np.flatnonzero(folds[rows] == fold) for fold in np.unique(folds)]
        calibrations[name] = fit_calibration(facet, truth, seen)
        chances[name] = probabilities(facet, scores[name], calibrations[name])
        chances[name][rows] = cross_calibrate(facet, truth, seen, parts)
    return HeldOutReading(calibrations, Foreseen(familiarity, chances), scores)


def learn_efforts(
    data: TrainingData, readings: Mapping[str, HeldOutReading]
) -> tuple[dict[str, tuple[Stage, ...]], dict[str, Foreseen]]:
    """Return for each effort but the full one how papers are read, and what the folds say with it.

    Parameters
    ----------
    data:
        The labels.
    readings:
        By name, all of :data:`tagger.reading.READINGS`.
    """
    title, excerpt, whole = (readings[name] for name in ("title", "excerpt", "whole"))
    papers = data.papers()
    shortened = np.array([READINGS["excerpt"](paper) != paper.text for paper in papers])
    brief = excerpt.foreseen
    threshold = choose_threshold(
        data.taxonomy,
        data.truth,
        data.judged,
        brief.probabilities,
        whole.foreseen.probabilities,
        shortened,
    )
    sure = paper_confidence(data.taxonomy, brief.probabilities) >= threshold
    mixed = brief.where(sure, whole.foreseen)
    efforts = {
        "low": (Stage(reading="title", calibration=title.calibrations),),
        "balanced": (
            Stage(reading="excerpt", calibration=excerpt.calibrations, sure_from=threshold),
            Stage(reading="whole", calibration=whole.calibrations),
        ),
    }
    return efforts, {"low": title.foreseen, "balanced": mixed}


def choose_threshold(
    taxonomy: Taxonomy,
    truth: Mapping[str, Booleans],
    judged: Mapping[str, Booleans],
    brief: Mapping[str, Floats],
    full: Mapping[str, Floats],
    shortened: Booleans,
    max_loss: float = MAX_LOSS,
) -> float:
    """Return from which sureness on a short reading is enough.

    It is the lowest threshold such that it and all higher ones keep within the loss, but at least
    0.5. Papers that are read whole either way are left out: they say nothing on what is lost.

    Parameters
    ----------
    taxonomy:
        The facets.
    truth, judged:
        Per facet, the tags that people gave, shape (papers, tags), and whether they were asked,
        shape (papers,).
    brief, full:
        Per facet, held-out probabilities of the short and of the full reading, shape
        (papers, tags).
    shortened:
        Of which papers the short reading leaves something out, shape (papers,).
    max_loss:
        How much worse F1 may be.
    """
    if shortened.sum() < _LEAST_PAPERS:
        return USUAL_THRESHOLD
    rows = np.flatnonzero(shortened)
    brief = {name: chances[rows] for name, chances in brief.items()}
    full = {name: chances[rows] for name, chances in full.items()}
    sure = paper_confidence(taxonomy, brief)
    goals = {
        facet.name: _f1(facet, truth, judged, rows, full[facet.name]) - max_loss
        for facet in taxonomy.facets
    }
    best = 1.0
    for threshold in sorted({*np.round(sure, 3)}, reverse=True):
        mixed = {
            name: np.where(sure[:, None] >= threshold, brief[name], full[name]) for name in full
        }
        if any(
            _f1(facet, truth, judged, rows, mixed[facet.name]) < goals[facet.name]
            for facet in taxonomy.facets
        ):
            break
        best = float(threshold)
    return max(best, _LEAST_THRESHOLD)


def _f1(
    facet: Facet,
    truth: Mapping[str, Booleans],
    judged: Mapping[str, Booleans],
    rows: Integers,
    chances: Floats,
) -> float:
    asked = judged[facet.name][rows]
    figures = evaluate(facet, truth[facet.name][rows][asked], chances[asked])
    return figures["macro_f1" if facet.exclusive else "micro_f1"]
