"""How good the model version behind the tags is, by its cross-validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tagger.evaluation import (
    HeldOut,
    Interval,
    bootstrap_weights,
    confidences,
    evaluate,
    interval,
    weighted_figures,
)
from tagger.plots import confusion_counts
from tagger.registry import Registry, Version
from tagger.registry.history import VersionSummary, history

_SHOWN = ("macro_f1", "micro_f1", "accuracy", "calibration_error")
_BINS = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, 0 to 1, with its 95% bootstrap interval."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class TagFigure:
    """F1 of one tag, and how many labelled papers have it."""

    tag: str
    labels: int
    f1: Figure


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Answers of like confidence: how many, how confident on average, what share is right."""

    count: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True)
class FacetFigures:
    """How good a version is in one facet, on labelled papers that it had not seen.

    Parameters
    ----------
    facet:
        Its name.
    exclusive:
        Whether a paper has exactly one tag.
    papers:
        How many were labelled.
    figures:
        ``macro_f1``, ``micro_f1``, ``accuracy`` and ``calibration_error``.
    tags:
        In the order of the taxonomy.
    confusion_names, confusion:
        Which tag was taken for which, see :func:`tagger.plots.confusion_counts`; rows are what
        people gave.
    reliability:
        The bins that are not empty, least confident first.
    """

    facet: str
    exclusive: bool
    papers: int
    figures: dict[str, Figure]
    tags: tuple[TagFigure, ...]
    confusion_names: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[ConfidenceBin, ...]


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """A version, its figures, and all versions up to today."""

    version: VersionSummary
    facets: tuple[FacetFigures, ...]
    versions: tuple[VersionSummary, ...]


def read_figures(registry: Registry, version: Version) -> ModelFigures:
    """Read the figures of a version.

    Raises
    ------
    TaggerError
        If the store cannot be read, or lacks what the cross-validation said.
    """
    held_out = registry.held_out(version)
    versions = history(registry)
    [own] = [summary for summary in versions if summary.name == version.name]
    facets = tuple(facet_figures(part) for part in held_out.values())
    return ModelFigures(own, facets, tuple(versions))


def facet_figures(held_out: HeldOut) -> FacetFigures:
    """Measure a version in one facet."""
    facet, truth, chances = held_out.facet, held_out.truth, held_out.probabilities
    point = evaluate(facet, truth, chances)
    draws = weighted_figures(facet, truth, chances, bootstrap_weights(len(truth)))
    figures = {name: Figure(value, interval(draws[name])) for name, value in point.items()}
    labels = truth.sum(axis=0)
    names = [*facet.tag_names] if facet.exclusive else [*facet.tag_names, "none"]
    return FacetFigures(
        facet.name,
        facet.exclusive,
        len(held_out.ids),
        {name: figures[name] for name in _SHOWN},
        tuple(
            TagFigure(tag, int(count), figures[f"f1/{tag}"])
            for tag, count in zip(facet.tag_names, labels, strict=True)
        ),
        tuple(names),
        tuple(tuple(int(count) for count in row) for row in confusion_counts(held_out)),
        _reliability(held_out),
    )


def _reliability(held_out: HeldOut) -> tuple[ConfidenceBin, ...]:
    """Return the bins of a reliability diagram, of the width that the calibration error takes."""
    stated, right = confidences(held_out.facet, held_out.truth, held_out.probabilities)
    number = np.minimum((stated * _BINS).astype(int), _BINS - 1)
    return tuple(
        ConfidenceBin(
            int((number == place).sum()),
            float(stated[number == place].mean()),
            float(right[number == place].mean()),
        )
        for place in range(_BINS)
        if (number == place).any()
    )
