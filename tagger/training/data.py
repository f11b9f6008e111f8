"""Labels as arrays, the texts that an encoder is fine-tuned on, and folds for cross-validation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Booleans, Floats, Integers
from tagger.errors import TaggerError
from tagger.evaluation import HeldOut
from tagger.labels import Label
from tagger.papers import Paper
from tagger.taxonomy import Facet, Taxonomy
from tagger.training.settings import ContrastiveTarget

_FACET_WEIGHT = {True: 1.0, False: 0.5}
"""Weight in the loss, by whether a facet is exclusive. Other facets weigh less: they describe
topics, which the bundled encoder has learned in its pretraining."""


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
    def ids(self) -> list[str]:
        """Ids of the papers, in the order of the labels."""
        return [label.id for label in self.labels]

    def papers(self, indices: Integers | None = None) -> list[Paper]:
        """Return all papers, or those at some indices."""
        chosen = range(len(self.labels)) if indices is None else indices
        return [self.labels[index].paper for index in chosen]

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

    def held_out(
        self,
        facet: Facet,
        indices: Integers,
        folds: Integers,
        probabilities: Floats,
        threshold: float,
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
        )

    def check_enough(self, folds: int) -> None:
        """Raise a TaggerError if a facet has too few labels for a number of folds."""
        for facet in self.taxonomy.facets:
            count = int(self.annotated[facet.name].sum())
            if count < 2 * folds:
                raise TaggerError(
                    f"{count} labels of the facet '{facet.name}' are too few to train on",
                    hint=f"{folds}-fold cross-validation needs at least {2 * folds}",
                )
            used = int((self.y_true[facet.name].sum(axis=0) > 1).sum())
            needed = 2 if facet.exclusive else 1
            if used < needed:
                raise TaggerError(
                    f"the facet '{facet.name}' has too few labels to train on: tags with two "
                    f"labels or more: {used}, needed: {needed}",
                    hint="Add labels for it, or remove the facet from the taxonomy",
                )

    def facets_of_one_tag(self, indices: Integers) -> list[str]:
        """Return the names of the exclusive facets in which these papers have at most one tag."""
        return [
            facet.name
            for facet in self.taxonomy.facets
            if facet.exclusive and self.y_true[facet.name][indices].any(axis=0).sum() < 2
        ]


def fine_tuning_inputs(
    data: TrainingData, indices: Integers, *, title_views: bool
) -> tuple[list[str], dict[str, ContrastiveTarget]]:
    """Return the texts that an encoder is fine-tuned on, and their target in each facet.

    The texts are the views of some papers, then the taxonomy's examples of tags. An example is
    annotated in the facet of its tag only.
    """
    views = data.views(indices, title_views=title_views)
    of_views = np.tile(indices, len(views) // max(len(indices), 1))
    examples = [
        (facet, facet.with_ancestors((tag.name,)), text)
        for facet in data.taxonomy.facets
        for tag in facet.tags
        for text in tag.examples
    ]
    targets = {}
    for facet in data.taxonomy.facets:
        annotated = [owner is facet for owner, _, _ in examples]
        members = [
            [owner is facet and tag in tags for tag in facet.tag_names]
            for owner, tags, _ in examples
        ]
        shape = len(examples), len(facet.tags)
        targets[facet.name] = ContrastiveTarget(
            np.concatenate(
                [data.y_true[facet.name][of_views], np.array(members, bool).reshape(shape)]
            ),
            np.concatenate([data.annotated[facet.name][of_views], np.array(annotated, bool)]),
            _FACET_WEIGHT[facet.exclusive],
        )
    return [*views, *(text for _, _, text in examples)], targets


def assign_folds(
    ids: Sequence[str],
    strata: Sequence[int],
    folds: int,
    seed: int,
    known: Mapping[str, int] | None = None,
) -> npt.NDArray[np.int_]:
    """Return the fold of each paper, from 0, shape (papers,).

    Papers in ``known`` stay in their folds. Each other paper, in the order of ``ids``, goes to the
    fold with the fewest papers of its stratum so far; the seed breaks ties. Papers that are added
    at the end therefore do not change the folds of the others.
    """
    of_stratum: Counter[tuple[int, int]] = Counter()
    of_fold: Counter[int] = Counter()
    assigned = np.zeros(len(ids), dtype=int)

    def put(index: int, fold: int) -> None:
        assigned[index] = fold
        of_stratum[strata[index], fold] += 1
        of_fold[fold] += 1

    known = known or {}
    for index, name in enumerate(ids):
        if name in known:
            put(index, known[name])
    for index, name in enumerate(ids):
        if name in known:
            continue
        draw = {
            fold: hashlib.sha256(f"{seed}/{fold}/{name}".encode("utf-8", "replace")).digest()
            for fold in range(folds)
        }
        stratum = strata[index]
        put(index, min(draw, key=lambda f: (of_stratum[stratum, f], of_fold[f], draw[f])))
    return assigned
