"""The labels of a version, and its predictions for labelled papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np

from tagger._util.arrays import Floats
from tagger.evaluation import HeldOut, translate_predictions
from tagger.labels import ConflictRule, LabelStore
from tagger.model import TaggerModel
from tagger.registry.versions import Registry, Version
from tagger.training import TrainingData


def training_data(registry: Registry, version: Version) -> TrainingData:
    """Return the labels that a version was trained on."""
    conflicts = registry.run(version).data.params["conflicts"]
    with TemporaryDirectory() as scratch:
        store = LabelStore(registry.label_folder(version, Path(scratch)))
        return TrainingData.of(store.labels(cast(ConflictRule, conflicts)), store.taxonomy)


def predict_labelled(
    held_out: Mapping[str, HeldOut], load: Callable[[], TaggerModel] | None, data: TrainingData
) -> dict[str, HeldOut]:
    """Return the predictions of a model for labelled papers, per facet of their taxonomy.

    Papers that it was trained on have its out-of-fold predictions, ``held_out``; they are left out
    of a facet in which they were not labelled then. Others that have a text are predicted by the
    model, which is loaded if there are any; their fold is 0. Without a model they are left out. A
    facet is left out if one of its tags cannot be translated.
    """
    known = {name for table in held_out.values() for name in table.ids}
    unseen = [
        label.paper
        for label in data.labels
        if load and label.id not in known and label.text is not None
    ]
    predicted: Mapping[str, Floats] = load().predict_proba(unseen) if load and unseen else {}
    tables = {}
    for name, table in held_out.items():
        new = predicted.get(name, np.zeros((0, len(table.facet.tags))))
        ids = (*table.ids, *(paper.id for paper in unseen))
        tables[name] = replace(
            table,
            ids=ids,
            titles=(*table.titles, *(paper.title for paper in unseen)),
            folds=np.concatenate([table.folds, np.zeros(len(unseen), dtype=int)]),
            y_true=np.zeros((len(ids), len(table.facet.tags)), dtype=bool),
            probabilities=np.concatenate([table.probabilities, new]),
            samples=np.array([], dtype=str),
        )
    translated = translate_predictions(tables, data.taxonomy)
    labelled = {name: data.label_predictions(table) for name, table in translated.items()}
    return {name: table for name, table in labelled.items() if table.ids}
