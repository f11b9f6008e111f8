"""Churn: the share of papers without labels that two model versions tag differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Churn:
    """Papers without labels that two versions tag differently: share and titles per facet."""

    papers: int
    shares: dict[str, float]
    titles: dict[str, tuple[str, ...]]


def measure_churn(
    titles: Sequence[str],
    before: Mapping[str, Sequence[frozenset[str]]],
    after: Mapping[str, Sequence[frozenset[str]]],
) -> Churn:
    """Find the papers whose tags differ, for each facet that both versions have.

    ``before`` and ``after`` have the tags of each paper by facet, in the order of ``titles``.
    """
    changed = {
        name: tuple(
            title
            for title, old, new in zip(titles, before[name], after[name], strict=True)
            if old != new
        )
        for name in after
        if name in before
    }
    shares = {name: len(differing) / max(len(titles), 1) for name, differing in changed.items()}
    return Churn(len(titles), shares, changed)
