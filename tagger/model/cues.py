"""Cues: exact phrases that a taxonomy gives for a tag, such as "double-blind".

Each tag with cues is one more column of the lexical features: 1 if a paper has one of its cues.
Without labels the column has the weight :data:`CUE_SCORE`; with labels its weight is learned.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from tagger._util.arrays import Floats
from tagger.papers import Paper
from tagger.taxonomy import Facet, Taxonomy

CUE_SCORE = 3.0
"""Score, a logit, that a cue adds to its tag before there are labels: odds of twenty to one."""
_TOKEN = re.compile(r"(?:non-)?\w+|[:?]")

Cues = tuple[tuple[str, ...], ...]
"""The cues of each tag that has some."""


def cues_of(taxonomy: Taxonomy) -> Cues:
    """Return the cues of each tag that has some, in the order of the taxonomy."""
    return tuple(tag.cues for facet in taxonomy.facets for tag in facet.tags if tag.cues)


def match_cues(cues: Cues, papers: Sequence[Paper]) -> Floats:
    """Return 1 where a paper has a cue of a tag, else 0, shape (papers, tags with cues).

    Upper and lower case, hyphens and commas make no difference; colons and question marks do.
    "non-" makes another word: "non-randomised" is not "randomised".
    """
    phrases = [[_normal(cue) for cue in of_tag] for of_tag in cues]
    found = np.zeros((len(papers), len(cues)))
    for row, paper in enumerate(papers if cues else ()):
        text = _normal(paper.text)
        found[row] = [any(phrase in text for phrase in of_tag) for of_tag in phrases]
    return found


def cue_weights(taxonomy: Taxonomy, facet: Facet, terms: int) -> Floats:
    """Return the weights of cues without labels, shape (tags of the facet, lexical features).

    ``terms`` is the number of lexical features, of which the cues are the last.
    """
    cued = [(each.name, tag.name) for each in taxonomy.facets for tag in each.tags if tag.cues]
    weights = np.zeros((len(facet.tags), terms))
    for column, (name, tag) in enumerate(cued, start=terms - len(cued)):
        if name == facet.name:
            weights[facet.tag_names.index(tag), column] = CUE_SCORE
    return weights


def _normal(text: str) -> str:
    return f" {' '.join(_TOKEN.findall(text.casefold()))} "
