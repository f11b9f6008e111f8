"""Convert out-of-fold predictions to and from the tables that MLflow logs and shows.

Each facet has one JSON file in the "split" orientation of pandas, as ``mlflow.log_table`` writes
it. The column ``p(TAG)`` holds the probability of a tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tagger.errors import TaggerError
from tagger.evaluation import DEFAULT_THRESHOLD, HeldOut, facet_confidence
from tagger.model import TaggerModel
from tagger.taxonomy import Facet

_SEPARATOR = "; "


def to_table(held_out: HeldOut) -> dict[str, Any]:
    """Return the predictions of a facet as columns by name.

    Wrong predictions come first, in order of falling confidence.
    """
    facet = held_out.facet
    tags = np.array(facet.tag_names)
    predicted, right = held_out.predicted, held_out.right
    confidence = facet_confidence(facet, held_out.probabilities, held_out.threshold)
    order = np.lexsort((-confidence, right))
    return {
        "title": [held_out.titles[row] for row in order],
        "label": [_SEPARATOR.join(tags[held_out.y_true[row]]) for row in order],
        "prediction": [_SEPARATOR.join(tags[predicted[row]]) for row in order],
        "right": [bool(right[row]) for row in order],
        "confidence": [round(float(confidence[row]), 4) for row in order],
        "fold": [int(held_out.folds[row]) for row in order],
        "id": [held_out.ids[row] for row in order],
        "threshold": [held_out.threshold] * len(order),
        "sample": held_out.samples[order].tolist(),
        **{
            f"p({tag})": [round(float(held_out.probabilities[row, column]), 6) for row in order]
            for column, tag in enumerate(facet.tag_names)
        },
    }


def from_model(model: TaggerModel) -> dict[str, HeldOut]:
    """Return the out-of-fold predictions that a model carries, of at most 2000 papers.

    Their folds are not known; all are 1.
    """
    reference, rule = model.reference, model.rule()
    found = {}
    for facet in model.taxonomy.facets:
        rows = np.flatnonzero(reference.annotated[facet.name])
        found[facet.name] = HeldOut(
            facet,
            tuple(reference.ids[row] for row in rows),
            tuple(reference.titles[row] for row in rows),
            np.ones(len(rows), dtype=int),
            reference.y_true[facet.name][rows],
            reference.probabilities[facet.name][rows],
            rule.threshold(facet),
            np.where(reference.audited[rows], "audit", "seed"),
        )
    return found


def from_table(facet: Facet, table: Mapping[str, Any]) -> HeldOut:
    """Return the predictions of a facet from a logged table, as MLflow loads it.

    Raises a TaggerError if columns are missing or hold other types.
    """
    try:
        columns = {name: column for column, name in enumerate(table["columns"])}
        rows = table["data"]
        labels = [set(row[columns["label"]].split(_SEPARATOR)) for row in rows]
        # Tables of earlier versions lack these columns.
        place, sample = columns.get("threshold"), columns.get("sample")
        return HeldOut(
            facet,
            tuple(row[columns["id"]] for row in rows),
            tuple(row[columns["title"]] for row in rows),
            np.array([row[columns["fold"]] for row in rows], dtype=int),
            np.array([[tag in label for tag in facet.tag_names] for label in labels], dtype=bool),
            np.array(
                [[row[columns[f"p({tag})"]] for tag in facet.tag_names] for row in rows],
                dtype=np.float64,
            ),
            DEFAULT_THRESHOLD if place is None or not rows else float(rows[0][place]),
            np.array([] if sample is None else [row[sample] for row in rows], dtype=str),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise TaggerError(
            f"the out-of-fold predictions of the facet '{facet.name}' cannot be read",
            hint="Train again with 'tagger train'",
        ) from error
