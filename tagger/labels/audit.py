"""Audit: labels that the model contradicts, to be looked at again and never changed silently."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Floats
from tagger.labels.store import Label
from tagger.taxonomy import Facet, Taxonomy


@dataclass(frozen=True, slots=True)
class SuspectLabel:
    """A label that the model contradicts in one facet, with this confidence."""

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
) -> list[SuspectLabel]:
    """Find labels that a model, which had not seen them, contradicts; the most confident first.

    Which labels are likely wrong is decided by confident learning (Northcutt et al., "Confident
    Learning: Estimating Uncertainty in Dataset Labels", 2021; for several tags a paper, Thyagarajan
    et al., "Identifying Incorrect Annotations in Multi-Label Classification Data", 2022), as in
    cleanlab. Labels that were rechecked since, or are final, are not called in question again.

    ``labels`` are one a paper; ``probabilities``, per facet and paper id, the out-of-fold
    probability of each tag.
    """
    suspects = []
    for facet in taxonomy.facets:
        known = probabilities.get(facet.name, {})
        annotated = [label for label in labels if facet.name in label.tags and label.id in known]
        if not annotated:
            continue
        table = np.array([known[label.id] for label in annotated], dtype=np.float64)
        for row in _contradicted(facet, annotated, table):
            suspect = _suspect(facet, annotated[row], table[row])
            origin = annotated[row].origin
            settled = annotated[row].final or (origin and origin.queue == "recheck")
            if suspect and suspect.confidence >= min_confidence and not settled:
                suspects.append(suspect)
    return sorted(suspects, key=lambda suspect: -suspect.confidence)


def _contradicted(facet: Facet, labels: Sequence[Label], probabilities: Floats) -> list[int]:
    """Return the rows that confident learning takes for wrong, in one tag or another."""
    places = {tag: column for column, tag in enumerate(facet.tag_names)}
    y_true = np.zeros(probabilities.shape, dtype=bool)
    for row, label in enumerate(labels):
        for tag in facet.with_ancestors(label.tags[facet.name]):
            y_true[row, places[tag]] = True
    # Of tags that no label has, or all, there is nothing to learn.
    used = np.flatnonzero(y_true.any(axis=0) & ~y_true.all(axis=0))
    if not len(used):
        return []
    if facet.exclusive:
        odds = np.maximum(probabilities[:, used], 1e-9)
        return _issues(y_true[:, used].argmax(axis=1), odds / odds.sum(axis=1, keepdims=True))
    found: set[int] = set()
    for column in used:
        yes = probabilities[:, column]
        found.update(_issues(y_true[:, column].astype(int), np.stack([1 - yes, yes], axis=1)))
    return sorted(found)


def _issues(given: npt.NDArray[np.int_], probabilities: Floats) -> list[int]:
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        # It warns that it says less of rare tags: known, and no harm.
        warnings.simplefilter("ignore", UserWarning)
        return [
            int(row) for row in np.flatnonzero(find_label_issues(given, probabilities, n_jobs=1))
        ]


def _suspect(
    facet: Facet, label: Label, probabilities: npt.NDArray[np.float64]
) -> SuspectLabel | None:
    given = facet.with_ancestors(label.tags[facet.name])
    if facet.exclusive:
        best = int(probabilities.argmax())
        suggested: tuple[str, ...] = (facet.tag_names[best],)
        confidence = float(probabilities[best])
    else:
        pairs = list(zip(facet.tag_names, probabilities, strict=True))
        suggested = tuple(tag for tag, p in pairs if p >= 0.5)
        against = [float(1 - p if tag in given else p) for tag, p in pairs]
        confidence = max(against)
    if set(suggested) == set(given):
        return None
    return SuspectLabel(
        label.id, label.title, label.annotator, facet.name, given, suggested, round(confidence, 4)
    )
