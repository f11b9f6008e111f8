"""Figures of a model version in the report, from its out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tagger.evaluation import (
    BINS,
    SHOWN_METRICS,
    Figure,
    HeldOut,
    Sample,
    confidences,
    confusion_counts,
    evaluate_with_intervals,
    measured_on,
    share,
    split_samples,
)
from tagger.model import ReviewRule
from tagger.registry import Registry, Version, VersionSummary, version_history


@dataclass(frozen=True, slots=True)
class TagFigure:
    """F1 of one tag and the number of labelled papers with it."""

    tag: str
    labels: int
    f1: Figure


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """One point of a reliability diagram: predictions, their mean confidence and accuracy."""

    count: int
    confidence: float
    right: Figure


@dataclass(frozen=True, slots=True)
class FacetFigures:
    """Figures of a version in one facet on one sample, from out-of-fold predictions.

    ``confusion`` is the matrix of :func:`tagger.evaluation.confusion_counts`; ``reliability``
    leaves out empty bins. The shipped model has only ``figures``.
    """

    facet: str
    measured_on: str
    reviewed: bool
    figures: dict[str, Figure]
    tags: tuple[TagFigure, ...] = ()
    confusion_names: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    reliability: tuple[ConfidenceBin, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """A version with its figures per facet and sample, and a summary of all versions.

    ``unmarked`` is what :func:`right_if_not_marked` returns. The shipped model has no versions.
    """

    version: VersionSummary
    facets: tuple[FacetFigures, ...]
    versions: tuple[VersionSummary, ...]
    unmarked: tuple[int, Figure] | None = None

    @property
    def names(self) -> list[str]:
        """Names of the facets."""
        return list(dict.fromkeys(one.facet for one in self.facets))

    @property
    def unknown(self) -> list[str]:
        """Names of the facets without figures on reviewed papers."""
        known = {one.facet for one in self.facets if one.reviewed}
        return [name for name in self.names if name not in known]


def read_figures(registry: Registry, version: Version) -> ModelFigures:
    """Read the figures of a version from MLflow."""
    tables = registry.held_out(version)
    parts = [
        (sample, part)
        for held_out in tables.values()
        for sample, part in split_samples(held_out).items()
    ]
    parts.sort(key=lambda one: one[0] == "seed")
    facets = tuple(facet_figures(part, sample) for sample, part in parts)
    versions = tuple(version_history(registry))
    [own] = [summary for summary in versions if summary.name == version.name]
    return ModelFigures(own, facets, versions, right_if_not_marked(tables.values()))


def shipped_figures(name: str, record: Mapping[str, Any]) -> ModelFigures:
    """Return the figures in the record of the shipped model, on papers sampled at random."""
    facets = tuple(
        FacetFigures(
            facet,
            f"{row['papers']} published papers sampled at random",
            reviewed=True,
            figures={
                metric: Figure(row[metric][0], (row[metric][1], row[metric][2]))
                for metric in SHOWN_METRICS
            },
        )
        for facet, row in record["figures"].items()
    )
    return ModelFigures(VersionSummary(name, labels=record["labels"]), facets, ())


def right_if_not_marked(tables: Iterable[HeldOut]) -> tuple[int, Figure] | None:
    """Count the audited papers that a model would not mark for review, and measure them.

    The figure is the share of which all tags are right. Papers count that are labelled in all
    facets; without any, it returns None. The model marks papers at the default confidence limit.
    """
    audited = [table.take(np.flatnonzero(table.samples == "audit")) for table in tables]
    common = set.intersection(*(set(one.ids) for one in audited)) if audited else set()
    if not common:
        return None
    parts = [one.take([one.ids.index(paper) for paper in sorted(common)]) for one in audited]
    rule = ReviewRule.of(parts)
    doubts = [rule.doubts(part.facet, part.probabilities) for part in parts]
    sure = ~np.any(doubts, axis=0)
    right = np.all([part.right for part in parts], axis=0) & sure
    papers = int(sure.sum())
    return (papers, share(int(right.sum()), papers)) if papers else None


def facet_figures(held_out: HeldOut, sample: Sample) -> FacetFigures:
    """Compute the figures of a version in one facet on one sample."""
    facet = held_out.facet
    figures = evaluate_with_intervals(held_out)
    # In an exclusive facet micro-F1 equals accuracy.
    shown = {
        name: figures[name]
        for name in SHOWN_METRICS
        if not (facet.exclusive and name == "micro_f1")
    }
    tags = tuple(
        TagFigure(tag, int(count), figures[f"f1/{tag}"])
        for tag, count in zip(facet.tag_names, held_out.y_true.sum(axis=0), strict=True)
    )
    confidence, right = confidences(held_out)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    reliability = tuple(
        ConfidenceBin(
            int(mask.sum()),
            float(confidence[mask].mean()),
            share(int(right[mask].sum()), int(mask.sum())),
        )
        for mask in (bins == index for index in np.unique(bins))
    )
    names = facet.tag_names if facet.exclusive else (*facet.tag_names, "none")
    confusion = tuple(tuple(map(int, row)) for row in confusion_counts(held_out))
    return FacetFigures(
        facet.name,
        measured_on(len(held_out.ids), sample),
        sample != "seed",
        shown,
        tags,
        tuple(names),
        confusion,
        reliability,
    )
