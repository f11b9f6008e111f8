"""Labels as arrays, the form in which everything is fitted and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tagger.compatibility import Champion, Guidance, guide
from tagger.errors import TaggerError
from tagger.evaluation import Booleans, HeldOut, Integers
from tagger.heads import Floats
from tagger.labels import Label
from tagger.paper import Paper
from tagger.taxonomy import Facet, Taxonomy


@dataclass(frozen=True)
class TrainingData:
    """Labels as arrays.

    Parameters
    ----------
    taxonomy, labels:
        What was labelled, one label a paper.
    truth:
        Per facet, the tags of each paper with all that they imply, shape (papers, tags).
    judged:
        Per facet, whether a paper was judged in it, shape (papers,).
    """

    taxonomy: Taxonomy
    labels: Sequence[Label]
    truth: dict[str, Booleans]
    judged: dict[str, Booleans]

    @classmethod
    def of(cls, labels: Sequence[Label], taxonomy: Taxonomy) -> TrainingData:
        """Turn labels into arrays."""
        truth = {facet.name: _memberships(facet, labels) for facet in taxonomy.facets}
        judged = {
            facet.name: np.array([facet.name in label.tags for label in labels], dtype=bool)
            for facet in taxonomy.facets
        }
        return cls(taxonomy, labels, truth, judged)

    @cached_property
    def ids(self) -> list[str]:
        """Of the papers, in the order of the labels."""
        return [label.id for label in self.labels]

    def ids_of(self, rows: Integers) -> list[str]:
        """Return the ids of some rows."""
        return [self.ids[row] for row in rows]

    def texts(self, rows: Integers | None = None) -> list[str]:
        """Return the texts of all papers, or of some rows."""
        return [paper.text for paper in self.papers(rows)]

    def papers(self, rows: Integers | None = None) -> list[Paper]:
        """Return all papers, or those of some rows."""
        chosen = range(len(self.labels)) if rows is None else rows
        return [self.labels[row].paper for row in chosen]

    def strata(self) -> list[int]:
        """Return of what kind each paper is: its tag in the first exclusive facet, if judged."""
        facets = self.taxonomy.facets
        facet = next((facet for facet in facets if facet.exclusive), facets[0])
        members = self.truth[facet.name]
        kinds = np.where(members.any(axis=1), members.argmax(axis=1), len(facet.tags))
        return [int(kind) for kind in kinds]

    def held_out(self, facet: Facet, rows: Integers, folds: Integers, chances: Floats) -> HeldOut:
        """Return what was said of some rows in a facet.

        Parameters
        ----------
        facet:
            The facet.
        rows:
            Shape (chosen papers,).
        folds:
            Fold of every paper, from 0, shape (papers,).
        chances:
            Probabilities, shape (chosen papers, tags).
        """
        return HeldOut(
            facet,
            tuple(self.labels[row].id for row in rows),
            tuple(self.labels[row].title for row in rows),
            folds[rows] + 1,
            self.truth[facet.name][rows],
            chances,
        )

    def check_enough(self, folds: int) -> None:
        """Check that there are labels enough for a number of folds.

        Raises
        ------
        TaggerError
            With the facet that has too few.
        """
        for facet in self.taxonomy.facets:
            count = int(self.judged[facet.name].sum())
            if count < 2 * folds:
                raise TaggerError(
                    f"{count} labels of the facet '{facet.name}' are too few to train on",
                    hint=f"{folds}-fold cross-validation needs at least {2 * folds}",
                )
            used = int((self.truth[facet.name].sum(axis=0) > 1).sum())
            if used < (2 if facet.exclusive else 1):
                raise TaggerError(
                    f"the facet '{facet.name}' has too few tags with two labels or more to train "
                    "on",
                    hint="Add labels for it, or take the facet out of the taxonomy",
                )

    def guidance_without(
        self, unseen: Integers, rows: Integers, champion: Champion | None
    ) -> Guidance | None:
        """Return guidance on some papers by a champion's fold that did not see the others."""
        if champion is None:
            return None
        answers = champion.answers_without(set(self.ids_of(unseen)))
        if answers is None:
            return None
        ids = self.ids_of(rows)
        truth = {name: values[rows] for name, values in self.truth.items()}
        return guide(champion, answers, ids, truth, self.taxonomy)

    def can_teach(self, rows: Integers) -> bool:
        """Tell whether these papers show at least two tags of each exclusive facet."""
        return len(rows) > 1 and all(
            self.truth[facet.name][rows].any(axis=0).sum() > 1
            for facet in self.taxonomy.facets
            if facet.exclusive
        )


def _memberships(facet: Facet, labels: Sequence[Label]) -> Booleans:
    return np.array(
        [
            [tag in given for tag in facet.tag_names]
            for label in labels
            for given in [facet.with_ancestors(label.tags.get(facet.name, ()))]
        ],
        dtype=bool,
    ).reshape(len(labels), len(facet.tags))
