"""The labels of a version, its predictions for labelled papers, and the labels it contradicts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np

from tagger._util.arrays import Floats
from tagger.evaluation import HeldOut, translate_predictions
from tagger.labels import ConflictRule, Label, LabelStore, SuspectLabel, find_suspect_labels
from tagger.model import TaggerModel
from tagger.papers import KnownPapers, Paper
from tagger.registry.versions import DeletedRunError, Registry, Version
from tagger.taxonomy import Taxonomy
from tagger.training import TrainingData

_LOGGER = logging.getLogger(__name__)


def training_data(registry: Registry, version: Version, newer: Path | None = None) -> TrainingData:
    """Return the labels that a version was trained on, in its taxonomy.

    The labels of papers that arrived since then are added from the label folder ``newer``. If the
    run of the version was deleted, they are all labels of that folder, in its taxonomy.
    """
    try:
        logged = registry.run(version).data.params
    except DeletedRunError:
        if newer is None:
            raise
        now = LabelStore(newer)
        return TrainingData.of(now.labels(), now.taxonomy)
    # The first versions did not log the rule.
    conflicts = cast(ConflictRule, logged.get("conflicts", "latest"))
    with TemporaryDirectory() as scratch:
        store = LabelStore(registry.label_folder(version, Path(scratch)))
        labels = store.labels(conflicts)
    if newer is not None:
        labels += _arrived_since(labels, store.taxonomy, LabelStore(newer), conflicts)
    return TrainingData.of(labels, store.taxonomy)


def _arrived_since(
    labels: Sequence[Label], taxonomy: Taxonomy, newer: LabelStore, conflicts: ConflictRule
) -> list[Label]:
    """Return the newer labels of other papers that arrived, in the facets of the taxonomy."""
    if newer.taxonomy.name != taxonomy.name:
        _LOGGER.warning(
            f"{newer.folder}: its labels are not used: they belong to the taxonomy "
            f"'{newer.taxonomy.name}', not to '{taxonomy.name}'"
        )
        return []
    names = {facet.name: {*facet.tag_names} for facet in taxonomy.facets}
    found = []
    for label in _others(newer.labels(conflicts), ((label.id, label.title) for label in labels)):
        # A tag that came or was renamed since is not in the taxonomy.
        tags = {
            name: each
            for name, each in label.tags.items()
            if name in names and names[name].issuperset(each)
        }
        if label.arrived and tags:
            found.append(label.model_copy(update={"tags": tags}))
    return found


def _others(labels: Iterable[Label], papers: Iterable[tuple[str, str]]) -> list[Label]:
    """Return the labels of other papers than those with these ids and titles.

    The id of a paper changes when an earlier label of it comes in.
    """
    ids = dict(papers)
    known = KnownPapers(Paper(title, "", id=name) for name, title in ids.items())
    return [label for label in labels if label.id not in ids and label.paper not in known]


def predict_labelled(
    held_out: Mapping[str, HeldOut], load: Callable[[], TaggerModel] | None, data: TrainingData
) -> dict[str, HeldOut]:
    """Return the predictions of a model for labelled papers, per facet of their taxonomy.

    Papers that it was trained on have its out-of-fold predictions, ``held_out``; they are left out
    of a facet in which they were not labelled then. Others that have a text are predicted by the
    model, which is loaded if there are any; their fold is 0. Without a model they are left out. A
    facet is left out if one of its tags cannot be translated.
    """
    pairs = chain.from_iterable(zip(one.ids, one.titles, strict=True) for one in held_out.values())
    others = [one for one in _others(data.labels, pairs) if one.text is not None] if load else []
    predicted: Mapping[str, Floats] = {}
    if load and others:
        model = load()
        # An update of a model was trained on papers that are not among its labels.
        others = _others(others, zip(model.reference.ids, model.reference.titles, strict=True))
        predicted = model.predict_proba([label.paper for label in others])
    unseen = [label.paper for label in others]
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
