"""Samples of labelled papers: figures on seed labels and on papers that arrived never mix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tagger.evaluation.metrics import Figure, HeldOut, evaluate_with_intervals
from tagger.labels import Label

Sample = Literal["audit", "reviewed", "selected", "seed"]

_SAMPLES: dict[Sample, str] = {
    "audit": "papers of the audit sample",
    "reviewed": "reviewed papers",
    "selected": "papers chosen for review, which are harder than most",
    "seed": "seed labels",
}
"""What each sample consists of, in words."""
MIN_PAPERS = 30
"""Minimum number of papers that a figure on reviewed papers, or a decision, is based on."""
UNKNOWN = "not known on your papers: tagger review push FILES --audit 50"
"""What is shown instead of a figure if too few papers were reviewed."""
_ARRIVED: dict[Sample, tuple[str, ...]] = {
    "audit": ("audit",),
    "reviewed": ("audit", "reviewed"),
    "selected": ("audit", "reviewed", "selected"),
}
"""The samples of papers that arrived, and the labels in each; the most representative first."""


def measured_on(papers: int, sample: Sample) -> str:
    """Return number and kind of papers in words, with a caution if they are few."""
    few = " (few: trust the intervals, not the figures)" if papers < MIN_PAPERS else ""
    return f"{papers} {_SAMPLES[sample]}{few}"


def sample_of(label: Label) -> Sample:
    """Return the smallest sample that a label belongs to.

    ``selected`` papers were chosen by a review strategy. How ``reviewed`` ones were chosen is not
    known.
    """
    if not label.arrived:
        return "seed"
    if label.audited:
        return "audit"
    return "selected" if label.queue else "reviewed"


def split_samples(held_out: HeldOut, minimum: int = MIN_PAPERS) -> dict[Sample, HeldOut]:
    """Split predictions into papers that arrived and seed labels, in this order.

    Of the papers that arrived, it returns the most representative sample of at least 30 papers,
    or else all, if these are at least ``minimum`` or there are no seed labels. A sample without
    papers is left out.
    """
    found: dict[Sample, HeldOut] = {}
    seeds = np.flatnonzero(held_out.samples == "seed")
    arrived = len(held_out.samples) - len(seeds)
    few = max(minimum, 1) if len(seeds) else 1
    for sample, members in _ARRIVED.items():
        indices = np.flatnonzero(np.isin(held_out.samples, members))
        if len(indices) >= (MIN_PAPERS if len(indices) < arrived else few):
            found[sample] = held_out.take(indices)
            break
    return found | ({"seed": held_out.take(seeds)} if len(seeds) else {})


@dataclass(frozen=True, slots=True)
class SampleFigures:
    """Figures of one facet on one sample, as of :func:`tagger.evaluation.evaluate_with_intervals`.

    ``labels`` is the number of papers with each tag.
    """

    facet: str
    sample: Sample
    papers: int
    figures: dict[str, Figure]
    labels: dict[str, int]

    @property
    def measured_on(self) -> str:
        """Number and kind of the papers, in words."""
        return measured_on(self.papers, self.sample)


def evaluate_samples(out_of_fold: Iterable[HeldOut]) -> list[SampleFigures]:
    """Measure each facet on the samples of :func:`split_samples`, seed labels last."""
    found = [
        SampleFigures(
            held_out.facet.name,
            sample,
            len(part.ids),
            evaluate_with_intervals(part),
            dict(zip(part.facet.tag_names, map(int, part.y_true.sum(axis=0)), strict=True)),
        )
        for held_out in out_of_fold
        for sample, part in split_samples(held_out).items()
    ]
    return sorted(found, key=lambda one: one.sample == "seed")
