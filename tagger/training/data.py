"""Labels as arrays, the texts that an encoder is fine-tuned on, and folds for cross-validation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Booleans, Floats, Integers, Vectors
from tagger.evaluation import HeldOut, sample_of
from tagger.labels import Label
from tagger.model import OutOfFold, Reference
from tagger.papers import Paper, find_near_duplicates
from tagger.taxonomy import Facet, Taxonomy
from tagger.training.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

TEXT = "text"
TAGS = "tags."
"""Columns of a data set of labels: the text, and the prefix of the facets' names."""
_MIN_WORDS = 50
"""Minimum length of an abstract that is compared with others to find near duplicates."""
PRIOR_PAPERS = 50
"""Number of papers of the audit sample that weigh as much as all seed labels."""


@dataclass(frozen=True)
class TrainingData:
    """Labels as arrays, one label per paper.

    Per facet, ``y_true`` holds the tags of each paper and their ancestors, shape (papers, tags);
    ``annotated`` tells which papers are labelled in the facet, shape (papers,).
    """

    taxonomy: Taxonomy
    labels: Sequence[Label]
    y_true: dict[str, Booleans]
    annotated: dict[str, Booleans]

    @classmethod
    def of(cls, labels: Sequence[Label], taxonomy: Taxonomy) -> TrainingData:
        """Turn labels into arrays."""
        y_true: dict[str, Booleans] = {}
        annotated: dict[str, Booleans] = {}
        for facet in taxonomy.facets:
            name, shape = facet.name, (len(labels), len(facet.tags))
            tag_sets = [facet.with_ancestors(label.tags.get(name, ())) for label in labels]
            members = [[tag in tags for tag in facet.tag_names] for tags in tag_sets]
            y_true[name] = np.array(members, dtype=bool).reshape(shape)
            annotated[name] = np.array([name in label.tags for label in labels], dtype=bool)
        return cls(taxonomy, labels, y_true, annotated)

    @cached_property
    def audited(self) -> Booleans:
        """Mask of the papers of the audit sample, shape (papers,)."""
        return np.array([label.audited for label in self.labels], dtype=bool)

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the papers, in the order of the labels."""
        return [label.id for label in self.labels]

    def papers(self, indices: Integers | None = None) -> list[Paper]:
        """Return all papers, or those at some indices."""
        chosen = range(len(self.labels)) if indices is None else indices
        return [self.labels[index].paper for index in chosen]

    def calibration_weights(self, facet: str) -> Floats:
        """Return the weight of each paper in calibrating a facet, shape (papers,).

        Papers of the audit sample count fully, since they are like those that will arrive. Seed
        labels are a prior that weighs as much as :data:`PRIOR_PAPERS` of them. Other reviewed
        papers were chosen for being difficult and do not count, unless there are no others.
        """
        annotated = self.annotated[facet]
        audited = self.audited & annotated
        prior = annotated & np.array([not label.arrived for label in self.labels], dtype=bool)
        if not (audited | prior).any():
            prior = annotated
        return np.asarray(audited + prior * min(1.0, PRIOR_PAPERS / max(int(prior.sum()), 1)))

    def views(self, indices: Integers, *, title_views: bool) -> list[str]:
        """Return the texts of papers, followed, with ``title_views``, by their titles."""
        papers = self.papers(indices)
        titles = [paper.title for paper in papers] if title_views else []
        return [paper.text for paper in papers] + titles

    def strata(self) -> list[int]:
        """Return the stratum of each paper: the index of its tag in the first exclusive facet.

        Papers without a tag in it share one more stratum. Without an exclusive facet the first
        facet is used.
        """
        facets = self.taxonomy.facets
        facet = next((facet for facet in facets if facet.exclusive), facets[0])
        members = self.y_true[facet.name]
        strata = np.where(members.any(axis=1), members.argmax(axis=1), len(facet.tags))
        return [int(stratum) for stratum in strata]

    def tagged(self) -> list[list[tuple[str, str]]]:
        """Return the tags of each paper in all facets, each with the name of its facet."""
        found: list[list[tuple[str, str]]] = [[] for _ in self.labels]
        for facet in self.taxonomy.facets:
            for index, column in np.argwhere(self.y_true[facet.name]).tolist():
                found[index].append((facet.name, facet.tag_names[column]))
        return found

    def assign_folds(
        self, settings: TrainingSettings, known: Mapping[str, int] | None, *, grouped: bool = True
    ) -> Integers:
        """Call :func:`assign_folds`; with ``grouped``, near duplicates share a fold."""
        given = self.ids, self.strata(), settings.folds, settings.seed, known
        groups = self.groups if grouped else ()
        return assign_folds(*given, tagged=self.tagged(), groups=groups)

    @cached_property
    def groups(self) -> list[int]:
        """For each paper, the index of the first of its near duplicates, or its own.

        If one version of a study were held out and another one not, predictions would look better
        than they are. Short texts are not compared: a few words in common make them similar.
        """
        first = list(range(len(self.labels)))
        long = [paper for paper in self.papers() if len(paper.abstract.split()) >= _MIN_WORDS]
        place = {name: index for index, name in enumerate(self.ids)}
        for pair in find_near_duplicates(long):
            one, other = sorted(first[place[name]] for name in pair.ids)
            first = [one if index == other else index for index in first]
        return first

    def held_out(
        self,
        facet: Facet,
        indices: Integers,
        folds: Integers,
        probabilities: Floats,
        threshold: float,
        capped: tuple[str, ...] = (),
    ) -> HeldOut:
        """Return a table of out-of-fold predictions of the papers at some indices.

        ``folds`` has the fold of each paper of the data, from 0, shape (papers,);
        ``probabilities`` have shape (indices, tags).
        """
        return HeldOut(
            facet,
            tuple(self.ids[index] for index in indices),
            tuple(self.labels[index].title for index in indices),
            folds[indices] + 1,
            self.y_true[facet.name][indices],
            probabilities,
            threshold,
            np.array([sample_of(self.labels[index]) for index in indices], dtype=str),
            capped,
        )

    def reference(self, vectors: Vectors, out_of_fold: Mapping[str, OutOfFold]) -> Reference:
        """Return the papers as they are stored in a model.

        ``vectors`` have shape (papers, dimensions); ``out_of_fold`` has the predictions by effort.
        """
        return Reference(
            tuple(self.ids),
            tuple(label.title for label in self.labels),
            vectors,
            self.y_true,
            self.annotated,
            out_of_fold,
            frozenset(label.id for label in self.labels if label.audited),
        )

    def label_predictions(self, predictions: HeldOut) -> HeldOut:
        """Return the predictions of papers annotated in their facet, with the labels of this data.

        Tags that the predictions lack have probability 0.
        """
        name = predictions.facet.name
        facet = self.taxonomy.facet(name)
        place = {paper: position for position, paper in enumerate(predictions.ids)}
        annotated = np.flatnonzero(self.annotated[name])
        indices = np.array([index for index in annotated if self.ids[index] in place], dtype=int)
        found = predictions.take([place[self.ids[index]] for index in indices])
        probabilities = np.zeros((len(indices), len(facet.tags)))
        columns = [facet.tag_names.index(tag) for tag in predictions.facet.tag_names]
        probabilities[:, columns] = found.probabilities
        folds = np.zeros(len(self.labels), dtype=int)
        folds[indices] = found.folds - 1
        rest = probabilities, found.threshold, found.capped
        return self.held_out(facet, indices, folds, *rest)

    def scarce_facets(self, folds: Integers, count: int) -> dict[str, str]:
        """Return the facets with too few labels to train on, each with the reason.

        ``folds`` has the fold of each paper, from 0, shape (papers,); there are ``count`` folds.
        """
        scarce = {}
        outside = [np.flatnonzero(folds != fold) for fold in range(count)]
        for facet in self.taxonomy.facets:
            labels = int(self.annotated[facet.name].sum())
            used = int((self.y_true[facet.name].sum(axis=0) > 1).sum())
            needed = 2 if facet.exclusive else 1
            alike = [n for n, rows in enumerate(outside) if self._has_one_tag(facet, rows)]
            if labels < 2 * count:
                scarce[facet.name] = f"{labels} labels; {count} folds need {2 * count}"
            elif used < needed:
                scarce[facet.name] = f"tags with two labels or more: {used}, needed: {needed}"
            elif alike:
                scarce[facet.name] = f"papers outside of fold {alike[0] + 1} have the same tag"
        return scarce

    def without(self, facets: Collection[str]) -> TrainingData:
        """Return the same papers, as if they were not labelled in some facets."""

        def kept(masks: Mapping[str, Booleans]) -> dict[str, Booleans]:
            return {n: np.zeros_like(m) if n in facets else m for n, m in masks.items()}

        return replace(self, y_true=kept(self.y_true), annotated=kept(self.annotated))

    def have_one_tag(self, indices: Integers) -> bool:
        """Return whether these papers have at most one tag in any exclusive facet."""
        return any(self._has_one_tag(facet, indices) for facet in self.taxonomy.facets)

    def _has_one_tag(self, facet: Facet, indices: Integers) -> bool:
        y_true = self.y_true[facet.name]
        return facet.exclusive and bool(y_true.any() and y_true[indices].any(axis=0).sum() < 2)


def examples_of(data: TrainingData, texts: Sequence[str], indices: Integers) -> Dataset:
    """Return texts with their tags, then the taxonomy's examples of tags, as a data set.

    ``indices`` has the index of the paper of each text, shape (texts,). Facets have the columns of
    :func:`tag_columns`. An example is annotated in the facet of its tag only.
    """
    from datasets import Dataset, Features, Value

    examples = [
        (facet, facet.with_ancestors((tag.name,)), text)
        for facet in data.taxonomy.facets
        for tag in facet.tags
        for text in tag.examples
    ]
    columns, features = tag_columns(data, indices)
    for facet in data.taxonomy.facets:
        for owner, tags, _ in examples:
            places = [facet.tag_names.index(tag) for tag in tags] if owner is facet else None
            answer = places[0] if places and facet.exclusive else places
            columns[f"{TAGS}{facet.name}"].append(answer)
    columns[TEXT] = [*texts, *(text for _, _, text in examples)]
    return Dataset.from_dict(columns, Features({TEXT: Value("string"), **features}))


def tag_columns(
    data: TrainingData, indices: Integers
) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Return the tags of papers as columns of a data set, and the types of these columns.

    Each facet has a column, ``tags.FACET``: a ``ClassLabel`` if it is exclusive, else a list of
    them; None where it was not annotated.
    """
    from datasets import ClassLabel, List

    columns, features = {}, {}
    for facet in data.taxonomy.facets:
        name, tag = f"{TAGS}{facet.name}", ClassLabel(names=list(facet.tag_names))
        y_true, annotated = data.y_true[facet.name], data.annotated[facet.name]
        found = [np.flatnonzero(y_true[i]).tolist() if annotated[i] else None for i in indices]
        columns[name] = [tags[0] if tags and facet.exclusive else tags for tags in found]
        features[name] = tag if facet.exclusive else List(tag)
    return columns, features


def assign_folds(
    ids: Sequence[str],
    strata: Sequence[int],
    folds: int,
    seed: int,
    known: Mapping[str, int] | None = None,
    *,
    tagged: Sequence[Sequence[Hashable]] = (),
    groups: Sequence[int] = (),
) -> npt.NDArray[np.int_]:
    """Return the fold of each paper, from 0, shape (papers,).

    Papers in ``known`` stay in their folds. Each other paper, in the order of ``ids``, goes to the
    fold of the first paper of its group; without one, to the fold with the fewest papers of its
    stratum so far, and of these to the one with the smallest shares of its tags so far; the seed
    breaks ties. Papers that are added at the end therefore do not change the folds of the others.
    Balancing several tags at once is after Sechidis et al., "On the Stratification of Multi-label
    Data" (2011). ``strata``, ``tagged`` and ``groups`` have the stratum, the tags in all facets and
    the group of each paper; the last two may be left out.
    """
    of_stratum: Counter[tuple[Hashable, int]] = Counter()
    of_tag: Counter[tuple[Hashable, int]] = Counter()
    total: Counter[Hashable] = Counter()
    of_fold: Counter[int] = Counter()
    of_group: dict[int, int] = {}
    assigned = np.zeros(len(ids), dtype=int)

    def put(index: int, fold: int) -> None:
        assigned[index] = fold
        of_stratum[strata[index], fold] += 1
        of_fold[fold] += 1
        for tag in tagged[index] if tagged else ():
            of_tag[tag, fold] += 1
            total[tag] += 1
        if groups:
            of_group.setdefault(groups[index], fold)

    known = known or {}
    for index, name in enumerate(ids):
        if name in known:
            put(index, known[name])
    for index, name in enumerate(ids):
        if name in known:
            continue
        if groups and groups[index] in of_group:
            put(index, of_group[groups[index]])
            continue
        tags = [tag for tag in tagged[index] if total[tag]] if tagged else []

        def order(fold: int, index: int = index, tags: list[Hashable] = tags) -> tuple[object, ...]:
            shares = sum(of_tag[tag, fold] / total[tag] for tag in tags)
            draw = hashlib.sha256(f"{seed}/{fold}/{ids[index]}".encode("utf-8", "replace"))
            return of_stratum[strata[index], fold], shares, of_fold[fold], draw.digest()

        put(index, min(range(folds), key=order))
    return assigned
