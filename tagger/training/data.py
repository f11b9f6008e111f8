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
"""Share in the loss of an exclusive facet and of any other: the pretrained bundled encoder knows
far more of what papers are about than of what they contribute."""


@dataclass(frozen=True)
class TrainingData:
    """Labels, one a paper, as arrays.

    Per facet ``y_true`` has the tags of each paper with all that they imply, shape (papers, tags),
    and ``annotated`` whether a paper was judged in it, shape (papers,).
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
            given = [facet.with_ancestors(label.tags.get(name, ())) for label in labels]
            members = [[tag in tags for tag in facet.tag_names] for tags in given]
            y_true[name] = np.array(members, dtype=bool).reshape(shape)
            annotated[name] = np.array([name in label.tags for label in labels], dtype=bool)
        return cls(taxonomy, labels, y_true, annotated)

    @cached_property
    def ids(self) -> list[str]:
        """Of the papers, in the order of the labels."""
        return [label.id for label in self.labels]

    def texts(self, rows: Integers | None = None) -> list[str]:
        """Return the texts of all papers, or of some rows."""
        return [paper.text for paper in self.papers(rows)]

    def papers(self, rows: Integers | None = None) -> list[Paper]:
        """Return all papers, or those of some rows."""
        chosen = range(len(self.labels)) if rows is None else rows
        return [self.labels[row].paper for row in chosen]

    def views(self, rows: Integers, *, title_views: bool) -> list[str]:
        """Return the texts of papers, then, with ``title_views``, their titles."""
        titles = [paper.title for paper in self.papers(rows)] if title_views else []
        return self.texts(rows) + titles

    def strata(self) -> list[int]:
        """Return the kind of each paper: its tag in the first exclusive facet, if judged."""
        facets = self.taxonomy.facets
        facet = next((facet for facet in facets if facet.exclusive), facets[0])
        members = self.y_true[facet.name]
        kinds = np.where(members.any(axis=1), members.argmax(axis=1), len(facet.tags))
        return [int(kind) for kind in kinds]

    def held_out(
        self, facet: Facet, rows: Integers, folds: Integers, probabilities: Floats, threshold: float
    ) -> HeldOut:
        """Return out-of-fold predictions of some rows; ``folds`` are of all papers, from 0."""
        return HeldOut(
            facet,
            tuple(self.ids[row] for row in rows),
            tuple(self.labels[row].title for row in rows),
            folds[rows] + 1,
            self.y_true[facet.name][rows],
            probabilities,
            threshold,
        )

    def check_enough(self, folds: int) -> None:
        """Raise a TaggerError with the facet that has too few labels for a number of folds."""
        for facet in self.taxonomy.facets:
            count = int(self.annotated[facet.name].sum())
            if count < 2 * folds:
                raise TaggerError(
                    f"{count} labels of the facet '{facet.name}' are too few to train on",
                    hint=f"{folds}-fold cross-validation needs at least {2 * folds}",
                )
            used = int((self.y_true[facet.name].sum(axis=0) > 1).sum())
            if used < (2 if facet.exclusive else 1):
                raise TaggerError(
                    f"the facet '{facet.name}' has too few tags with two labels or more to train "
                    "on",
                    hint="Add labels for it, or take the facet out of the taxonomy",
                )

    def can_teach(self, rows: Integers) -> bool:
        """Tell whether these papers show at least two tags of each exclusive facet."""
        return len(rows) > 1 and all(
            self.y_true[facet.name][rows].any(axis=0).sum() > 1
            for facet in self.taxonomy.facets
            if facet.exclusive
        )


def fine_tuning_inputs(
    data: TrainingData, rows: Integers, *, title_views: bool
) -> tuple[list[str], dict[str, ContrastiveTarget]]:
    """Return views of papers, then the taxonomy's examples, judged in their own facet alone."""
    views = data.views(rows, title_views=title_views)
    seen = np.tile(rows, len(views) // max(len(rows), 1))
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
            np.concatenate([data.y_true[facet.name][seen], np.array(members, bool).reshape(shape)]),
            np.concatenate([data.annotated[facet.name][seen], np.array(annotated, bool)]),
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

    A new paper, in the order of ``ids``, goes into the fold that has fewest of its stratum so far;
    the seed decides between equals. So its fold depends on the papers before it alone, and on those
    of ``known``, which stay in their folds.
    """
    of_stratum: Counter[tuple[int, int]] = Counter()
    of_fold: Counter[int] = Counter()
    assigned = np.zeros(len(ids), dtype=int)

    def put(row: int, fold: int) -> None:
        assigned[row] = fold
        of_stratum[strata[row], fold] += 1
        of_fold[fold] += 1

    stay = known or {}
    for row, name in enumerate(ids):
        if name in stay:
            put(row, stay[name])
    for row, name in enumerate(ids):
        if name in stay:
            continue
        draw = {
            fold: hashlib.sha256(f"{seed}/{fold}/{name}".encode("utf-8", "replace")).digest()
            for fold in range(folds)
        }
        kind = strata[row]
        put(row, min(draw, key=lambda f: (of_stratum[kind, f], of_fold[f], draw[f])))
    return assigned
