"""How good the model version behind the tags is, by its cross-validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tagger.evaluation import (
    BINS,
    SHOWN_METRICS,
    Figure,
    HeldOut,
    confidences,
    confusion_counts,
    evaluate_with_intervals,
)
from tagger.registry import Registry, Version, VersionSummary, version_history


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

    ``confusion`` is as in :func:`tagger.evaluation.confusion_counts`, with the labels as rows;
    ``reliability`` leaves out empty bins.
    """

    facet: str
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
    """Read the figures of a version from MLflow."""
    facets = tuple(facet_figures(part) for part in registry.held_out(version).values())
    versions = tuple(version_history(registry))
    [own] = [summary for summary in versions if summary.name == version.name]
    return ModelFigures(own, facets, versions)


def facet_figures(held_out: HeldOut) -> FacetFigures:
    """Measure a version in one facet."""
    facet = held_out.facet
    figures = evaluate_with_intervals(held_out)
    # Where each paper has one tag, micro-F1 is the accuracy.
    shown = {
        name: figures[name]
        for name in SHOWN_METRICS
        if not (facet.exclusive and name == "micro_f1")
    }
    tags = tuple(
        TagFigure(tag, int(count), figures[f"f1/{tag}"])
        for tag, count in zip(facet.tag_names, held_out.y_true.sum(axis=0), strict=True)
    )
    stated, right = confidences(facet, held_out.y_true, held_out.probabilities)
    number = np.minimum((stated * BINS).astype(int), BINS - 1)
    reliability = tuple(
        ConfidenceBin(int(own.sum()), float(stated[own].mean()), float(right[own].mean()))
        for own in (number == place for place in np.unique(number))
    )
    names = facet.tag_names if facet.exclusive else (*facet.tag_names, "none")
    confusion = tuple(tuple(map(int, row)) for row in confusion_counts(held_out))
    return FacetFigures(
        facet.name, len(held_out.ids), shown, tags, tuple(names), confusion, reliability
    )
