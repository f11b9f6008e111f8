"""Audit labels: find those that the model contradicts, to be reviewed again."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tagger._util.arrays import Floats, Integers
from tagger.labels.label import Label
from tagger.taxonomy import Facet, Taxonomy


@dataclass(frozen=True, slots=True)
class SuspectLabel:
    """A label that the model contradicts in one facet, with the model's confidence.

    ``given`` are the tags of the label, ``suggested`` those of the model.
    """

    id: str
    title: str
    annotator: str
    facet: str
    given: tuple[str, ...]
    suggested: tuple[str, ...]
    confidence: float


def find_suspect_labels(
    labels: Sequence[Label],
    probabilities: Mapping[str, Mapping[str, Sequence[float]]],
    taxonomy: Taxonomy,
    min_confidence: float = 0.7,
    thresholds: Mapping[str, float] | None = None,
) -> list[SuspectLabel]:
    """Find labels that are likely wrong, the most confident contradictions first.

    The labels are found by confident learning (Northcutt et al., "Confident Learning: Estimating
    Uncertainty in Dataset Labels", 2021; for non-exclusive facets, Thyagarajan et al., "Identifying
    Incorrect Annotations in Multi-Label Classification Data", 2022), as implemented in cleanlab.
    Final labels and labels that were rechecked are not reported again.

    The labels are those of :func:`merge_labels`, one per paper. ``probabilities`` are the
    out-of-fold probabilities of the tags, by facet and paper id. ``min_confidence`` is the minimum
    confidence of the model in a contradiction. ``thresholds`` are the minimum probabilities of a
    given tag by facet, 0.5 by default; they do not apply to exclusive facets.
    """
    thresholds = thresholds or {}
    suspects = []
    for facet in taxonomy.facets:
        by_id = probabilities.get(facet.name, {})
        annotated = [label for label in labels if facet.name in label.tags and label.id in by_id]
        if not annotated:
            continue
        table = np.array([by_id[label.id] for label in annotated], dtype=np.float64)
        for index in _contradicted(facet, annotated, table):
            threshold = thresholds.get(facet.name, 0.5)
            suspect = _suspect(facet, annotated[index], table[index], threshold)
            settled = annotated[index].final
            if suspect and suspect.confidence >= min_confidence and not settled:
                suspects.append(suspect)
    return sorted(suspects, key=lambda suspect: -suspect.confidence)


def _contradicted(facet: Facet, labels: Sequence[Label], probabilities: Floats) -> list[int]:
    """Return the indices of the labels that confident learning finds wrong in any tag."""
    columns = {tag: column for column, tag in enumerate(facet.tag_names)}
    y_true = np.zeros(probabilities.shape, dtype=bool)
    for index, label in enumerate(labels):
        for tag in facet.with_ancestors(label.tags[facet.name]):
            y_true[index, columns[tag]] = True
    # Confident learning needs tags that some labels have and others lack.
    used = np.flatnonzero(y_true.any(axis=0) & ~y_true.all(axis=0))
    if not len(used):
        return []
    if facet.exclusive:
        positive = np.maximum(probabilities[:, used], 1e-9)
        normalised = positive / positive.sum(axis=1, keepdims=True)
        return _issues(y_true[:, used].argmax(axis=1), normalised)
    found: set[int] = set()
    for column in used:
        yes = probabilities[:, column]
        found.update(_issues(y_true[:, column].astype(int), np.stack([1 - yes, yes], axis=1)))
    return sorted(found)


def _issues(y_true: Integers, probabilities: Floats) -> list[int]:
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        # cleanlab warns about rare tags, for which it finds fewer errors.
        warnings.simplefilter("ignore", UserWarning)
        found = find_label_issues(y_true, probabilities, n_jobs=1)
    return [int(index) for index in np.flatnonzero(found)]


def _suspect(
    facet: Facet, label: Label, probabilities: Floats, threshold: float
) -> SuspectLabel | None:
    given = facet.with_ancestors(label.tags[facet.name])
    if facet.exclusive:
        best = int(probabilities.argmax())
        suggested: tuple[str, ...] = (facet.tag_names[best],)
        confidence = float(probabilities[best])
    else:
        pairs = list(zip(facet.tag_names, probabilities, strict=True))
        suggested = tuple(tag for tag, p in pairs if p >= threshold)
        against = [float(1 - p if tag in given else p) for tag, p in pairs]
        confidence = max(against)
    if set(suggested) == set(given):
        return None
    return SuspectLabel(
        label.id, label.title, label.annotator, facet.name, given, suggested, round(confidence, 4)
    )
