"""What a model said in terms of one version of a taxonomy, put in those of today's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagger.taxonomy import Facet
from tagger.taxonomy_history import TaxonomyHistory

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FacetTranslation:
    """What became of the tags of a facet.

    Parameters
    ----------
    facet:
        The facet with those of today's tags that the earlier ones became.
    becomes:
        Per earlier tag, what it is today and all that this implies; nothing if it was retired.
    """

    facet: Facet
    becomes: tuple[tuple[str, ...], ...]

    def probabilities(self, earlier: Floats) -> Floats:
        """Put probabilities in today's terms.

        Where several tags became one, an exclusive facet has it with the sum of theirs, another
        with the greatest of theirs: they may apply together.

        Parameters
        ----------
        earlier:
            Of shape (papers, earlier tags).

        Returns
        -------
        Floats
            Of shape (papers, tags of ``facet``).
        """
        names = self.facet.tag_names
        now = np.zeros((len(earlier), len(names)))
        for column, tags in enumerate(self.becomes):
            for tag in tags:
                place = names.index(tag)
                if self.facet.exclusive:
                    now[:, place] += earlier[:, column]
                else:
                    now[:, place] = np.maximum(now[:, place], earlier[:, column])
        return np.minimum(now, 1.0)


def translate_facet(
    history: TaxonomyHistory, start: int, name: str, tags: Sequence[str]
) -> FacetTranslation | None:
    """Find out what became of the tags of a facet.

    Parameters
    ----------
    history:
        Of the taxonomy.
    start:
        The position in it that the tags are of.
    name:
        Of the facet.
    tags:
        Its tags as a model knew them.

    Returns
    -------
    FacetTranslation or None
        None if it cannot be told: the facet is gone, or had other tags at that position, as where
        a taxonomy was edited by hand.
    """
    now = {facet.name: facet for facet in history.taxonomy.facets}.get(name)
    then = {facet.name: facet for facet in history.taxonomy_at(start).facets}.get(name)
    if now is None or then is None or not set(tags) <= set(then.tag_names):
        return None
    becomes = [history.follow(name, tag, start) for tag in tags]
    if not {tag for tag in becomes if tag is not None} <= set(now.tag_names):
        return None
    together = tuple(now.with_ancestors(() if tag is None else (tag,)) for tag in becomes)
    kept = {tag for implied in together for tag in implied}
    if not kept:
        return None
    left = tuple(
        tag if tag.parent in kept else tag.model_copy(update={"parent": None})
        for tag in now.tags
        if tag.name in kept
    )
    # Built anew: what a facet has worked out about itself does not carry over.
    facet = Facet(name=name, definition=now.definition, exclusive=now.exclusive, tags=left)
    return FacetTranslation(facet, together)
