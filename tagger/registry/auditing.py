"""Audit labels against the predictions of a version that was trained without them."""

from __future__ import annotations

from collections.abc import Sequence

from tagger.labels import Label, SuspectLabel, find_suspect_labels
from tagger.model import TaggerModel
from tagger.registry.versions import Registry, Version


def audit_labels(
    registry: Registry,
    version: Version,
    model: TaggerModel,
    labels: Sequence[Label],
    min_confidence: float = 0.7,
) -> list[SuspectLabel]:
    """Find labels that a version contradicts although it was trained without them.

    The probabilities of a label are out-of-fold predictions of the version. For a label that is
    newer than the version they are predictions of its ``model``.

    Parameters and order are those of :func:`tagger.labels.find_suspect_labels`.
    """
    probabilities: dict[str, dict[str, Sequence[float]]] = {
        facet: dict(zip(held_out.ids, held_out.probabilities.tolist(), strict=True))
        for facet, held_out in registry.held_out(version).items()
    }
    held_out_ids = {paper for by_paper in probabilities.values() for paper in by_paper}
    younger = [label.paper for label in labels if label.id not in held_out_ids]
    for facet, rows in model.predict_proba(younger).items():
        for paper, row in zip(younger, rows, strict=True):
            probabilities.setdefault(facet, {})[paper.id] = row.tolist()
    return find_suspect_labels(
        labels, probabilities, model.taxonomy, min_confidence, model.thresholds
    )
