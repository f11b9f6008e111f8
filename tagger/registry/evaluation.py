"""Evaluate models on labelled papers, the same ones for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from tagger.errors import TaggerError
from tagger.evaluation import (
    Comparison,
    Figure,
    HeldOut,
    SampleFigures,
    compare,
    evaluate_samples,
    share,
    split_samples,
)
from tagger.labels import ConflictRule, LabelStore, merge_labels, read_label_file
from tagger.model import ReviewRule, TaggerModel
from tagger.papers import Paper
from tagger.registry.held_out_table import from_model
from tagger.registry.predictions import predict_labelled
from tagger.registry.resolve import is_shipped_name, load_model_by_name
from tagger.registry.versions import CHAMPION, Registry
from tagger.taxonomy import Taxonomy, translate_facet
from tagger.training import TrainingData


@dataclass(frozen=True, slots=True)
class FacetEvaluation:
    """Figures of a model in one facet on one sample of papers.

    ``out_of_fold`` counts the papers that the model was trained on. ``coverage`` is the share of
    papers that need no review of this facet at the default confidence limit; ``covered_accuracy``
    is the accuracy on these.
    """

    measured: SampleFigures
    out_of_fold: int
    coverage: Figure
    covered_accuracy: Figure


@dataclass(frozen=True, slots=True)
class ModelEvaluation:
    """A model and its figures, those on reviewed papers first."""

    model: str
    facets: tuple[FacetEvaluation, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One or two models on the same papers; ``comparison`` is that of the second with the first."""

    models: tuple[ModelEvaluation, ...]
    comparison: Comparison | None = None


def evaluate_models(
    registry: Registry,
    names: Sequence[str],
    labels: Path,
    texts: Sequence[Paper] = (),
    conflicts: ConflictRule = "latest",
) -> Evaluation:
    """Evaluate one or two models on the same labelled papers.

    ``names`` are versions, aliases, or folders of models, the one to compare with first.
    ``shipped`` names the model that ships with tagger; so does ``champion`` if there is no
    champion. ``labels`` is a label folder, of which ``conflicts`` says which answers count; or a
    file of labels in the taxonomy of the models, or the later one, all of which are taken for
    papers that arrived. ``texts`` are as for :class:`tagger.labels.LabelStore`.

    A paper that a model was trained on has its out-of-fold prediction. A model that is not
    registered knows at most 2000 papers of its training. Raises a TaggerError if a model does not
    exist or is named twice, or no paper is labelled in a facet that all models have.
    """
    candidates = [_candidate(registry, name) for name in names]
    if len({one.name for one in candidates}) < len(candidates):
        raise TaggerError(
            f"{candidates[0].name} is named twice", hint="Name another model with --against"
        )
    if labels.is_file():
        taxonomy = _latest([one.load().taxonomy for one in candidates])
        read = read_label_file(labels, taxonomy, texts)
        # They count as those of papers that arrived and were sampled at random.
        arrived = {"source": "review", "queue": "audit"}
        data = TrainingData.of([label.model_copy(update=arrived) for label in read], taxonomy)
    else:
        store = LabelStore(labels, texts)
        data = TrainingData.of(merge_labels(store.all_labels(), conflicts), store.taxonomy)
    tables = {one.name: predict_labelled(one.held_out, one.load, data) for one in candidates}
    common = _on_common_papers(list(tables.values()))
    if not any(common):
        raise TaggerError(
            "no labelled paper to evaluate on",
            hint="Review some: tagger review push FILES --audit 50; or name a file with --labels",
        )
    models = tuple(
        ModelEvaluation(name, tuple(_facets(of_model)))
        for name, of_model in zip(tables, common, strict=True)
    )
    comparison = None
    if len(common) > 1:
        # Both tag each paper without having been trained on it; folds do not matter here.
        free = [
            {name: replace(table, folds=np.zeros_like(table.folds)) for name, table in one.items()}
            for one in common
        ]
        first, second = zip(tables, free, strict=True)
        comparison = compare(first, second)
    return Evaluation(models, comparison)


@dataclass(frozen=True)
class _Candidate:
    name: str
    held_out: Mapping[str, HeldOut]
    load: Callable[[], TaggerModel]


def _candidate(registry: Registry, name: str) -> _Candidate:
    shipped = is_shipped_name(name) or (name == CHAMPION and registry.champion() is None)
    if Path(name).is_dir() or shipped:
        model = load_model_by_name(name)
        return _Candidate(model.name, from_model(model), lambda: model)
    version = registry.find(name)
    return _Candidate(version.name, registry.held_out(version), partial(registry.load, version))


def _latest(taxonomies: Sequence[Taxonomy]) -> Taxonomy:
    """Return the first taxonomy that knows the present or former tags of all, or else the first."""

    def knows(taxonomy: Taxonomy, other: Taxonomy) -> bool:
        return all(translate_facet(taxonomy, one.name, one.tag_names) for one in other.facets)

    fitting = (one for one in taxonomies if all(knows(one, other) for other in taxonomies))
    return next(fitting, taxonomies[0])


def _on_common_papers(tables: Sequence[Mapping[str, HeldOut]]) -> list[dict[str, HeldOut]]:
    found: list[dict[str, HeldOut]] = [{} for _ in tables]
    for name in (name for name in tables[0] if all(name in one for one in tables)):
        if shared := set.intersection(*({*one[name].ids} for one in tables)):
            for target, one in zip(found, tables, strict=True):
                indices = [row for row, paper in enumerate(one[name].ids) if paper in shared]
                target[name] = one[name].take(indices)
    return found


def _facets(tables: Mapping[str, HeldOut]) -> list[FacetEvaluation]:
    found = []
    for measured in evaluate_samples(tables.values()):
        part = split_samples(tables[measured.facet])[measured.sample]
        covered = ~ReviewRule.of([part]).doubts(part.facet, part.probabilities)
        found.append(
            FacetEvaluation(
                measured,
                int((part.folds > 0).sum()),
                share(int(covered.sum()), len(covered)),
                share(int(part.right[covered].sum()), int(covered.sum())),
            )
        )
    return found
