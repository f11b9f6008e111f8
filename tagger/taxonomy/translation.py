"""Predictions of a model put in terms of another version of its taxonomy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tagger._util.arrays import Floats
from tagger.taxonomy.schema import Facet, Taxonomy


@dataclass(frozen=True, slots=True)
class FacetTranslation:
    """A facet with the tags that earlier ones became, and per earlier tag what it implies now."""

    facet: Facet
    becomes: tuple[tuple[str, ...], ...]

    def probabilities(self, earlier: Floats) -> Floats:
        """Translate probabilities of shape (papers, earlier tags) to (papers, tags of ``facet``).

        Where several tags became one, an exclusive facet has it with the sum of theirs, another
        with the greatest of theirs: they may apply together.
        """
        names = self.facet.tag_names
        member = np.array([[name in tags for name in names] for tags in self.becomes], np.float64)
        if self.facet.exclusive:
            now: Floats = np.minimum(earlier @ member, 1.0)
        else:
            now = (earlier[:, :, np.newaxis] * member).max(axis=1, initial=0.0)
        return now


def translate_facet(taxonomy: Taxonomy, name: str, tags: Sequence[str]) -> FacetTranslation | None:
    """Find out what became of the tags of a facet; None if ``taxonomy`` does not tell."""
    facet = {facet.name: facet for facet in taxonomy.facets}.get(name)
    if facet is None or not set(tags) <= facet.readings.keys():
        return None
    becomes = tuple(facet.read((tag,)) for tag in tags)
    kept = {tag for implied in becomes for tag in implied}
    left = tuple(
        tag if tag.parent in kept else tag.model_copy(update={"parent": None})
        for tag in facet.tags
        if tag.name in kept
    )
    if not left:
        return None
    # Built anew: what a facet has worked out about itself does not carry over.
    return FacetTranslation(
        Facet(name=name, definition=facet.definition, exclusive=facet.exclusive, tags=left), becomes
    )
