"""Translate predictions of a model to another version of its taxonomy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tagger._util.arrays import Floats
from tagger.taxonomy.schema import Facet, Taxonomy


@dataclass(frozen=True, slots=True)
class FacetTranslation:
    """The translation of a facet: the facet of the current tags, and those of each earlier tag."""

    facet: Facet
    becomes: tuple[tuple[str, ...], ...]

    def probabilities(self, earlier: Floats) -> Floats:
        """Translate probabilities of shape (papers, earlier tags) to (papers, tags of ``facet``).

        If several tags became one, it gets their sum in an exclusive facet, and their maximum in
        another one, where they may apply together.
        """
        names = self.facet.tag_names
        member = np.array([[name in tags for name in names] for tags in self.becomes], np.float64)
        if self.facet.exclusive:
            return np.asarray(np.minimum(earlier @ member, 1.0))
        return np.asarray((earlier[:, :, np.newaxis] * member).max(axis=1, initial=0.0))


def translate_facet(taxonomy: Taxonomy, name: str, tags: Sequence[str]) -> FacetTranslation | None:
    """Translate the earlier tags of a facet; None if one is unknown or no current tag remains."""
    facet = {facet.name: facet for facet in taxonomy.facets}.get(name)
    if facet is None or not set(tags) <= facet.meanings.keys():
        return None
    becomes = tuple(facet.read((tag,)) for tag in tags)
    names = {tag for current in becomes for tag in current}
    kept = tuple(
        tag if tag.parent in names else tag.model_copy(update={"parent": None})
        for tag in facet.tags
        if tag.name in names
    )
    if not kept:
        return None
    # A new object, because model_copy would keep the cached properties of the facet.
    return FacetTranslation(
        Facet(name=name, definition=facet.definition, exclusive=facet.exclusive, tags=kept), becomes
    )
