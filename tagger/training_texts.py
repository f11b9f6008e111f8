"""What an encoder is trained on: labelled papers, and examples of tags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tagger.evaluation import Booleans, Integers
from tagger.training_data import TrainingData


def views_of(data: TrainingData, rows: Integers, *, title_views: bool) -> list[str]:
    """Return the texts of papers, and then their titles if these are examples, too."""
    titles = [paper.title for paper in data.papers(rows)] if title_views else []
    return data.texts(rows) + titles


@dataclass(frozen=True)
class TrainingTexts:
    """Texts and their tags.

    Parameters
    ----------
    texts:
        Views of papers, one view after the other, then the examples of the taxonomy.
    truth, judged:
        Per facet, as in :class:`~tagger.training_data.TrainingData`, shape (texts, tags) and
        (texts,). An example is judged in the facet of its tag alone.
    """

    texts: list[str]
    truth: dict[str, Booleans]
    judged: dict[str, Booleans]

    @classmethod
    def of(cls, data: TrainingData, rows: Integers, *, title_views: bool) -> TrainingTexts:
        """Return what is to be learned from some papers and from the taxonomy."""
        facets = data.taxonomy.facets
        texts = views_of(data, rows, title_views=title_views)
        seen = np.tile(rows, len(texts) // max(len(rows), 1))
        owners = np.repeat(np.arange(len(facets)), [len(facet.examples) for facet in facets])
        truth, judged = {}, {}
        for place, facet in enumerate(facets):
            own = owners == place
            tags = list(facet.described_tags[len(facet.tags) :])
            members = np.zeros((len(owners), len(facet.tags)), dtype=bool)
            members[own] = np.array(facet.implied)[tags]
            truth[facet.name] = np.concatenate([data.truth[facet.name][seen], members])
            judged[facet.name] = np.concatenate([data.judged[facet.name][seen], own])
        examples = [example for facet in facets for example in facet.examples]
        return cls([*texts, *examples], truth, judged)
