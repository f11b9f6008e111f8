"""Tags that the taxonomy lacks: clusters among papers that no tag fits.

The search for classes that nobody has labelled is novel class discovery (Han, Vedaldi and
Zisserman, "Learning to Discover Novel Visual Categories via Deep Transfer Clustering", 2019). Here
the papers that no known tag is likely for are clustered by average linkage (Sokal and Michener, "A
Statistical Method for Evaluating Systematic Relationships", 1958), and a cluster is named by the
terms that set it apart. The settings are those that find tags again which were hidden from the
model (``experiments/discovery.py``), with vectors of the encoder as it comes: fine-tuning draws
papers together by the tags that are there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count

import numpy as np

from tagger._util.arrays import Floats, Integers, Vectors, unit
from tagger.papers import Paper
from tagger.taxonomy.schema import Facet

_FAR = 0.5
_TERMS = 5
_HELD = 1 / 3
"""Share of the papers of a cluster that have a term which names it."""
_MOST_PAPERS = 5000
"""Papers clustered at most, for all pairs are compared: of more, this many taken evenly."""
_WORD = r"(?u)\b[^\W\d_][\w-]+\b"
_NO_NAME = re.compile(r"[^a-z0-9]+")
_LONGEST_NAME = 50


DISTANCE = 0.7
"""Clusters are joined as long as the mean cosine distance of their papers, less what all papers
have in common, stays below it."""
MIN_PAPERS = 4
"""Smaller clusters are dropped."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Papers that might have a tag in common which the facet lacks, most central first.

    ``terms`` set its papers apart from all others, most telling first. ``coherence`` is the mean
    cosine between them, less what all papers have in common: 0 for papers taken at random, 1 for
    copies.
    """

    facet: str
    name: str
    terms: tuple[str, ...]
    papers: tuple[Paper, ...]
    coherence: float

    @property
    def definition(self) -> str:
        """The terms, in place of a definition until a person has written one."""
        return ", ".join(self.terms).capitalize() + "."


def discover(
    papers: Sequence[Paper],
    vectors: Vectors,
    probabilities: Floats,
    facet: Facet,
    *,
    min_papers: int = MIN_PAPERS,
    count: int = 5,
) -> list[Candidate]:
    """Return candidates for tags that a facet lacks, large and coherent ones first.

    ``vectors``, of shape (papers, dimensions), are of an encoder that was not fine-tuned for the
    facet; ``probabilities``, of shape (papers, tags), are of the facet's tags.
    """
    clusters = find_clusters(vectors, far_from_tags(probabilities), min_papers=min_papers)
    chosen = sorted(clusters, key=lambda cluster: -len(cluster[0]) * cluster[1])[:count]
    terms = distinctive_terms([paper.text for paper in papers], [rows for rows, _ in chosen])
    taken = set(facet.readings)
    candidates = []
    for (rows, coherence), found in zip(chosen, terms, strict=True):
        name = _free_name(found, taken)
        taken.add(name)
        own = tuple(papers[row] for row in rows)
        candidates.append(Candidate(facet.name, name, found, own, round(coherence, 4)))
    return candidates


def far_from_tags(probabilities: Floats) -> Integers:
    """Return the papers of which each tag is less likely than not, shape (far papers,)."""
    return np.flatnonzero(probabilities.max(axis=1, initial=0.0) < _FAR)


def find_clusters(
    vectors: Vectors, far: Integers, distance: float = DISTANCE, min_papers: int = MIN_PAPERS
) -> list[tuple[Integers, float]]:
    """Return the clusters among the ``far`` papers: their rows, most central first, and coherence.

    ``vectors`` are those of all papers, for their mean is what papers have in common.
    """
    from sklearn.cluster import AgglomerativeClustering

    least = max(2, min_papers)
    if len(far) < least:
        return []
    far = far[np.linspace(0, len(far) - 1, min(len(far), _MOST_PAPERS)).astype(int)]
    own = unit(vectors - vectors.mean(axis=0))
    # The cosine of a paper that is just like the mean is 0 with every other.
    cosines = own[far] @ own[far].T
    of = AgglomerativeClustering(
        None, metric="precomputed", linkage="average", distance_threshold=distance
    ).fit_predict(1 - cosines)
    clusters = []
    for number in range(int(of.max()) + 1):
        members = np.flatnonzero(of == number)
        if len(members) < least:
            continue
        among = cosines[np.ix_(members, members)].astype(np.float64)
        np.fill_diagonal(among, 0)
        order = np.argsort(-among.sum(axis=1), kind="stable")
        coherence = float(among.sum() / (len(members) * (len(members) - 1)))
        clusters.append((far[members[order]], coherence))
    return clusters


def distinctive_terms(
    texts: Sequence[str], clusters: Sequence[Integers], most: int = _TERMS
) -> list[tuple[str, ...]]:
    """Return the words and word pairs that set clusters apart, most telling first.

    Class-based TF-IDF (Grootendorst, "BERTopic: Neural topic modeling with a class-based TF-IDF
    procedure", 2022): ``tf * ln(1 + A / f)`` with the frequency ``f`` of a term in all texts, the
    mean number ``A`` of terms a class, and the square root of its share ``tf`` of the class, which
    keeps down what every paper says. The texts outside all clusters are a class of their own. A
    word comes once, alone or in a pair, in the singular or the plural.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    if not clusters:
        return []
    counter = CountVectorizer(ngram_range=(1, 2), stop_words="english", token_pattern=_WORD)
    try:
        counts = counter.fit_transform(texts)
    except ValueError:  # no text has a word
        return [() for _ in clusters]
    vocabulary = counter.get_feature_names_out()
    rest = np.setdiff1d(np.arange(len(texts)), np.concatenate(list(clusters)))
    classes = np.stack([np.asarray(counts[rows].sum(axis=0)).ravel() for rows in [*clusters, rest]])
    sizes = classes.sum(axis=1, keepdims=True)
    idf = np.log(1 + sizes.mean() / classes.sum(axis=0))
    weights = np.sqrt(classes / np.maximum(sizes, 1)) * idf
    found = []
    for rows, weight in zip(clusters, weights, strict=False):
        holders = np.asarray((counts[rows] > 0).sum(axis=0)).ravel()
        weight = np.where(holders >= max(2, _HELD * len(rows)), weight, 0)
        chosen: list[str] = []
        words: set[str] = set()
        for column in np.argsort(-weight, kind="stable"):
            term = str(vocabulary[column])
            if len(chosen) == most or not weight[column]:
                break
            own = {word.removesuffix("s") for word in term.split()}
            if not words & own:
                chosen.append(term)
                words |= own
        found.append(tuple(chosen))
    return found


def _free_name(terms: Sequence[str], taken: set[str]) -> str:
    names = [_NO_NAME.sub("-", term.lower()).strip("-")[:_LONGEST_NAME] for term in terms]
    numbered = (f"new-{number}" for number in count(1))
    return next(name for name in chain(names, numbered) if name and name not in taken)
