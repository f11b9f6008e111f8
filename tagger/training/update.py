"""Update a model with new labels: its encoder stays, and its heads are fitted again.

The heads are fitted on the papers that the model was trained on, whose vectors it stores, and on
the new ones. The classifier of words and the calibrations stay as they are. So a model that ships
without the texts of its papers keeps what it learned from them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tagger._util.arrays import Integers, Vectors
from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError
from tagger.evaluation import HeldOut
from tagger.labels import Label
from tagger.model import (
    Head,
    Linear,
    OutOfFold,
    Reference,
    TaggerModel,
    VectorCache,
    copy_model,
    cue_weights,
    cues_of,
    load_model,
    prototypes,
    save_heads,
    similarity,
)
from tagger.papers import EFFORTS, TEXT_VIEWS, Paper, group_entries
from tagger.taxonomy import Facet, Taxonomy
from tagger.training.data import TrainingData
from tagger.training.heads import HeadInputs, fit_head
from tagger.training.run import TrainingResult
from tagger.training.settings import TrainingSettings


def update(
    base: Path,
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    folder: Path,
    progress: Progress = no_progress,
    *,
    known_folds: Mapping[str, int] | None = None,
) -> TrainingResult:
    """Update the model in the folder ``base`` with labels, and save it in ``folder``.

    Settings, ``progress`` and ``known_folds`` are as for :func:`tagger.training.train`.

    A label that the model was trained on is used once. If its tags have changed, the new ones are
    used; a facet without a new label keeps the old tags. If none has changed, its out-of-fold
    predictions are those that the model stores. Those of new labels come from heads
    fitted without the paper's fold; the encoder was not trained on these papers. Raises a
    TaggerError if the facets or tags of the taxonomy are not those of the model, no label is new,
    or the model is damaged.
    """
    begin = time.perf_counter()
    with TemporaryDirectory() as scratch:
        model = load_model(base, cache=VectorCache(Path(scratch) / "vectors.sqlite"))
        if not same_tags(model.taxonomy, taxonomy):
            raise TaggerError(
                "the facets and tags are not those of the model to update",
                hint="Train without --heads-only",
            )
        model = replace(model, reference=_with_ids_of(labels, model.reference))
        everything = TrainingData.of(_with_known_tags(labels, model.reference, taxonomy), taxonomy)
        new = _new_rows(everything, model.reference)
        data = TrainingData.of([everything.labels[row] for row in new], taxonomy)
        papers = data.papers()
        texts = [text_of(paper) for text_of in TEXT_VIEWS.values() for paper in papers]
        texts += model.reference.titles if settings.title_views else ()
        model.encoder.encode(texts, lambda done, total: progress("Encoding papers", done, total))
        kept = ~np.isin(model.reference.ids, data.ids)
        known = model.reference.take(np.flatnonzero(kept))
        fitting = _Fitting(model, data, settings, known)
        folds = everything.assign_folds(settings, known_folds)
        out_of_fold = fitting.predict_out_of_fold(folds[new])
        reference = fitting.known.followed_by(data.reference(model.encode(papers), out_of_fold))
        folder.mkdir(parents=True, exist_ok=True)
        copy_model(base, folder)
        save_heads(
            folder,
            taxonomy,
            replace(model.lexical, cues=cues_of(taxonomy)),
            fitting.heads(np.arange(len(new))),
            reference,
            max_tokens=settings.max_tokens,
            calibrations=model.calibrations,
            thresholds=model.effort_thresholds,
            effort_calibrations=model.effort_calibrations,
        )
    held_out = _held_out(everything, reference, folds, model)
    seconds = time.perf_counter() - begin
    return TrainingResult(load_model(folder), folder, tuple(held_out), seconds)


def same_tags(one: Taxonomy, other: Taxonomy) -> bool:
    """Return whether two taxonomies have the same facets with the same tags."""
    first, second = [
        [(facet.name, facet.exclusive, facet.tag_names) for facet in each.facets]
        for each in (one, other)
    ]
    return first == second


@dataclass(frozen=True)
class _Fitting:
    """A model, new labels, and the papers that it was trained on and whose tags still hold."""

    model: TaggerModel
    data: TrainingData
    settings: TrainingSettings
    known: Reference

    def heads(self, indices: Integers) -> list[Head]:
        """Fit the heads on the known papers and on the new ones at some indices."""
        found = []
        for facet in self.data.taxonomy.facets:
            name = facet.name
            new = indices[self.data.annotated[name][indices]]
            old = np.flatnonzero(self.known.annotated[name])
            vectors = [self.known.vectors[old], self._encode("whole", new)]
            if self.settings.title_views:
                titles = [self.known.titles[index] for index in old]
                vectors += [self.model.encoder.encode(titles), self._encode("title", new)]
            y_true = np.concatenate([self.known.y_true[name][old], self.data.y_true[name][new]])
            given = HeadInputs(
                facet,
                np.concatenate(vectors),
                np.zeros((len(y_true), 0)),
                y_true,
                prototypes(facet, self.model.encoder),
                self.model.calibrations["whole"][name],
            )
            found.append(replace(fit_head(given), lexical=self._lexical(facet)))
        return found

    def _lexical(self, facet: Facet) -> Linear:
        """Return the model's classifier of words, with the cues that the taxonomy has now."""
        words = self.model.heads[facet.name].lexical
        terms = len(self.model.lexical.vocabulary)
        features = terms + len(cues_of(self.data.taxonomy))
        weights = cue_weights(self.data.taxonomy, facet, features)
        if self.model.lexical.cues == cues_of(self.data.taxonomy):
            return words
        weights[:, :terms] = words.weights[:, :terms]
        return Linear(weights, words.bias)

    def predict_out_of_fold(self, folds: Integers) -> dict[str, OutOfFold]:
        """Predict each new paper with heads that were fitted without its fold, by effort."""
        count, tags = len(folds), {f.name: len(f.tags) for f in self.data.taxonomy.facets}
        found = {
            effort: OutOfFold(np.zeros(count), {n: np.zeros((count, k)) for n, k in tags.items()})
            for effort in EFFORTS
        }
        for fold in np.unique(folds):
            inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            heads = {head.facet.name: head for head in self.heads(outside)}
            lexical = replace(self.model.lexical, cues=cues_of(self.data.taxonomy))
            model = replace(self.model, heads=heads, lexical=lexical)
            nearby = np.concatenate([self.known.vectors, self._encode("whole", outside)])
            for effort, table in found.items():
                predicted = model.at_effort(effort).predict(self.data.papers(inside))
                table.similarity[inside] = similarity(self._encode("whole", inside), nearby)
                for name, probabilities in predicted.probabilities.items():
                    table.probabilities[name][inside] = probabilities
        return found

    def _encode(self, view: str, indices: Integers) -> Vectors:
        return self.model.encoder.encode([TEXT_VIEWS[view](p) for p in self.data.papers(indices)])


def _with_ids_of(labels: Sequence[Label], reference: Reference) -> Reference:
    """Return the reference with the ids that its papers have in the labels.

    They differ where a paper is known by its title on one side, and by an identifier on the other.
    """
    known = zip(reference.ids, reference.titles, strict=True)
    papers = [Paper(title, "", id=name) for name, title in known]
    papers += [label.paper for label in labels]
    ids = {name: name for name in reference.ids}
    for first, *others in group_entries(papers):
        if first < len(ids) and others and papers[others[-1]].id not in ids:
            ids[papers[first].id] = papers[others[-1]].id
    audited = frozenset(ids.get(name, name) for name in reference.audit_ids)
    return replace(reference, ids=tuple(ids.values()), audit_ids=audited)


def _with_known_tags(
    labels: Sequence[Label], reference: Reference, taxonomy: Taxonomy
) -> list[Label]:
    """Return the labels, those of papers in the reference with its tags in their missing facets."""
    place = {name: row for row, name in enumerate(reference.ids)}

    def completed(label: Label) -> Label:
        row = place.get(label.id)
        known = {
            facet.name: tuple(compress(facet.tag_names, reference.y_true[facet.name][row]))
            for facet in taxonomy.facets
            if row is not None and reference.annotated[facet.name][row]
        }
        return label.model_copy(update={"tags": known | label.tags})

    return [completed(label) for label in labels]


def _new_rows(data: TrainingData, reference: Reference) -> Integers:
    """Return the indices of papers that are not in the reference, or have other tags there.

    Raises a TaggerError if there are none.
    """
    place = {name: index for index, name in enumerate(reference.ids)}

    def known(row: int) -> bool:
        there = place.get(data.ids[row])
        return there is not None and all(
            reference.annotated[name][there] == data.annotated[name][row]
            and (reference.y_true[name][there] == data.y_true[name][row]).all()
            for name in data.annotated
        )

    new = [row for row in range(len(data.labels)) if not known(row)]
    if not new:
        raise TaggerError(
            f"none of the {len(data.labels)} labels is new to the model",
            hint="Label papers first: tagger review push FILES",
        )
    return np.array(new, dtype=int)


def _held_out(
    data: TrainingData, reference: Reference, folds: Integers, model: TaggerModel
) -> list[HeldOut]:
    """Return the out-of-fold predictions of labelled papers, which are in the reference."""
    place = {name: row for row, name in enumerate(reference.ids)}
    found, thresholds = [], model.effort_thresholds["full"]
    for facet in data.taxonomy.facets:
        if len(rows := np.flatnonzero(data.annotated[facet.name])):
            stored = [place[data.ids[row]] for row in rows]
            predicted = reference.probabilities[facet.name][stored]
            capped = model.calibrations["whole"][facet.name].capped
            rest = predicted, thresholds[facet.name], capped
            found.append(data.held_out(facet, rows, folds, *rest))
    return found
