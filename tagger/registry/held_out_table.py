"""Convert out-of-fold predictions to and from the tables that MLflow logs and shows.

Each facet has one JSON file in the "split" orientation of pandas, as ``mlflow.log_table`` writes
it. The column ``p(TAG)`` holds the probability of a tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tagger.errors import TaggerError
from tagger.evaluation import DEFAULT_THRESHOLD, HeldOut, facet_confidence, has_enough_labels
from tagger.model import TaggerModel
from tagger.taxonomy import Facet

_SEPARATOR = "; "


def to_table(held_out: HeldOut) -> dict[str, Any]:
    """Return the predictions of a facet as columns by name.

    Wrong predictions come first, in order of falling confidence.
    """
    facet, threshold, tags = held_out.facet, held_out.threshold, np.array(held_out.facet.tag_names)
    confidence = facet_confidence(facet, held_out.probabilities, threshold)
    order = np.lexsort((-confidence, held_out.right))
    held_out = held_out.take(order)
    columns = zip(facet.tag_names, held_out.probabilities.T.tolist(), strict=True)
    return {
        "title": list(held_out.titles),
        "label": [_SEPARATOR.join(tags[row]) for row in held_out.y_true],
        "prediction": [_SEPARATOR.join(tags[row]) for row in held_out.predicted],
        "right": held_out.right.tolist(),
        "confidence": [round(value, 4) for value in confidence[order].tolist()],
        "fold": held_out.folds.tolist(),
        "id": list(held_out.ids),
        "threshold": [threshold] * len(order),
        "sample": held_out.samples.tolist(),
        "capped": [_SEPARATOR.join(held_out.capped)] * len(order),
        **{f"p({tag})": [round(value, 6) for value in column] for tag, column in columns},
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
            model.calibrations["whole"][facet.name].capped,
        )
    return found


def from_table(facet: Facet, table: Mapping[str, Any]) -> HeldOut:
    """Return the predictions of a facet from a logged table, as MLflow loads it.

    Raises a TaggerError if columns are missing or hold other types.
    """
    try:
        columns = dict(zip(table["columns"], zip(*table["data"], strict=True), strict=True))
        labels = [set(label.split(_SEPARATOR)) for label in columns["label"]]
        probabilities = [columns[f"p({tag})"] for tag in facet.tag_names]
        y_true = np.array([[tag in label for tag in facet.tag_names] for label in labels], bool)
        # Tables of earlier versions lack some columns. A model caps the tags with too few labels.
        few = np.array(facet.tag_names)[~has_enough_labels(y_true)]
        [capped, *_] = columns.get("capped", [_SEPARATOR.join(few)])
        return HeldOut(
            facet,
            columns["id"],
            columns["title"],
            np.array(columns["fold"], dtype=int),
            y_true,
            np.array(probabilities, dtype=np.float64).T,
            float(columns.get("threshold", [DEFAULT_THRESHOLD])[0]),
            np.array(columns.get("sample", []), dtype=str),
            tuple(tag for tag in facet.tag_names if tag in capped.split(_SEPARATOR)),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise TaggerError(
            f"the out-of-fold predictions of the facet '{facet.name}' cannot be read",
            hint="Train again with 'tagger train'",
        ) from error
