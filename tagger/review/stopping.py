"""Tell when to stop: accuracy on the audit sample, and the gain from the last and next labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tagger._util.arrays import Booleans
from tagger.evaluation import Figure, HeldOut, Interval, bootstrap_weights, interval, share

EXPONENTS: Interval = (0.0, 0.5)
"""Range of the exponent with which the error falls with labels, if it is not measured."""
_MOST_PAPERS = 5000


@dataclass(frozen=True, slots=True)
class Goal:
    """An accuracy to reach in a facet, with a confidence that it is reached."""

    facet: str
    accuracy: float
    confidence: float


@dataclass(frozen=True, slots=True)
class GoalState:
    """How far a goal is reached.

    ``at_least`` is the accuracy that is reached with the confidence of the goal, by the exact bound
    of Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial" (1934). ``more_papers`` is the number of further audit papers that would show that the
    goal is reached if accuracy stays as it is; None if it has to rise.
    """

    goal: Goal
    at_least: float
    more_papers: int | None

    @property
    def enough(self) -> bool:
        """Whether the goal is reached."""
        return self.more_papers == 0


@dataclass(frozen=True, slots=True)
class FacetProgress:
    """The accuracy of a version in a facet, on the ``papers`` of the audit sample.

    It is the share of papers with exactly the right tags. ``last_round`` is the difference from the
    version before, on the same papers, with its 95% bootstrap interval. ``next_round`` is the
    range of the expected gain from more labelled papers.
    """

    facet: str
    papers: int
    accuracy: Figure
    last_round: Figure | None
    next_round: Interval
    goal: GoalState | None = None


def measure_progress(
    now: HeldOut,
    before: HeldOut | None,
    more: int,
    exponents: Interval | None = None,
    goal: Goal | None = None,
) -> FacetProgress:
    """Measure a facet on its audit sample.

    ``now`` and ``before`` are predictions by a version and the one before of papers that they were
    not trained on; ``now`` holds all labelled papers. The error after ``more`` labels is that of
    now times ``((labels + more) / labels) ** -exponent``, for the lowest and highest of
    ``exponents``, by default :data:`EXPONENTS`.
    """
    audit = _audited(now)
    right, labels = audit.right, len(now.ids)
    error = 1 - right.mean() if len(right) else 1.0
    gains = [
        error * (1 - ((labels + more) / max(labels, 1)) ** -each) for each in exponents or EXPONENTS
    ]
    return FacetProgress(
        now.facet.name,
        len(right),
        share(int(right.sum()), len(right)),
        _difference(audit, _audited(before)) if before else None,
        (float(gains[0]), float(gains[1])),
        state_of(goal, right) if goal else None,
    )


def state_of(goal: Goal, right: Booleans) -> GoalState:
    """Return how far a goal is reached, given which papers are right, shape (papers,)."""
    from scipy.stats import beta

    papers = np.arange(len(right), max(_MOST_PAPERS, len(right) + 1))
    # As many papers more are right as now, rounded down.
    hits = np.floor(papers * (right.mean() if len(right) else 0.0) + 1e-9)
    bounds = np.where(hits > 0, beta.ppf(1 - goal.confidence, hits, papers - hits + 1), 0.0)
    reached = np.flatnonzero(bounds >= goal.accuracy)
    return GoalState(goal, float(bounds[0]), int(reached[0]) if len(reached) else None)


def _audited(held_out: HeldOut) -> HeldOut:
    return held_out.take(np.flatnonzero(held_out.samples == "audit"))


def _difference(now: HeldOut, before: HeldOut) -> Figure | None:
    """Return the difference in accuracy on the papers of both, or None if there are none."""
    earlier: Mapping[str, bool] = dict(zip(before.ids, before.right.tolist(), strict=True))
    right = zip(now.ids, now.right.tolist(), strict=True)
    gains = np.array([float(one) - earlier[name] for name, one in right if name in earlier])
    if not len(gains):
        return None
    samples = bootstrap_weights(len(gains)) @ gains / len(gains)
    return Figure(float(gains.mean()), interval(samples))
