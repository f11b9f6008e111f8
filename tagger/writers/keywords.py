"""Tags as keywords of a reference manager: ``contribution: survey``.

The facet in front tells such a keyword from those of the user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tagger.taxonomy import Taxonomy


def keywords_of(tags: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the keywords for the tags of a paper, facet by facet."""
    return [f"{facet}: {tag}" for facet, given in tags.items() for tag in given]


def keyword_pattern(taxonomy: Taxonomy) -> re.Pattern[str]:
    """Return what a keyword that stands for a tag matches as a whole, a tag of old ones too."""
    facets = "|".join(re.escape(facet.name) for facet in taxonomy.facets)
    return re.compile(rf"(?:{facets}): [a-z0-9][a-z0-9_-]*")
