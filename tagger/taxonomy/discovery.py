"""Discover missing tags: clusters of papers without a likely tag.

This is novel class discovery (Han, Vedaldi and Zisserman, "Learning to Discover Novel Visual
Categories via Deep Transfer Clustering", 2019). Papers without a likely tag are clustered by
average linkage (Sokal and Michener, "A Statistical Method for Evaluating Systematic Relationships",
1958), and each cluster is named by its distinctive terms. The settings were chosen to rediscover
tags that were hidden from the model (``experiments/discovery.py``). The vectors are those of the
pretrained encoder, because fine-tuning moves papers together by the existing tags.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tagger._util.arrays import Floats, Integers, Vectors, unit
from tagger.papers import Paper
from tagger.taxonomy.schema import Facet

_LIKELY = 0.5
_TERMS = 5
_MIN_SHARE = 1 / 3
"""Minimum share of the papers of a cluster that contain a term which names it."""
_MAX_PAPERS = 5000
"""Maximum number of papers to cluster, since all pairs are compared; more are sampled evenly."""
_WORD = r"(?u)\b[^\W\d_][\w-]+\b"
_NOT_IN_NAME = re.compile(r"[^a-z0-9]+")
_MAX_NAME = 50
DISTANCE = 0.7
"""Clusters are merged while the mean cosine distance of their papers' centred vectors is below."""
MIN_PAPERS = 4
"""Smaller clusters are dropped."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate for a missing tag of a facet.

    ``papers`` are those of the cluster, the most central first; ``terms`` its distinctive terms,
    the most distinctive first. ``coherence`` is the mean cosine similarity of the centred vectors
    of its papers: 0 for random papers, 1 for copies.
    """

    facet: str
    name: str
    terms: tuple[str, ...]
    papers: tuple[Paper, ...]
    coherence: float

    @property
    def definition(self) -> str:
        """The terms as a provisional definition, to be replaced by a person."""
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
    """Return candidates for missing tags of a facet, at most ``count``, large coherent ones first.

    ``vectors`` of shape (papers, dimensions) are those of a pretrained encoder, ``probabilities``
    of shape (papers, tags) those of the facet's tags.
    """
    clusters = find_clusters(vectors, uncovered_papers(probabilities), min_papers=min_papers)
    chosen = sorted(clusters, key=lambda cluster: -len(cluster[0]) * cluster[1])[:count]
    terms = distinctive_terms([paper.text for paper in papers], [indices for indices, _ in chosen])
    taken = set(facet.meanings)
    candidates = []
    for (indices, coherence), found in zip(chosen, terms, strict=True):
        name = _free_name(found, taken)
        taken.add(name)
        members = tuple(papers[index] for index in indices)
        candidates.append(Candidate(facet.name, name, found, members, round(coherence, 4)))
    return candidates


def uncovered_papers(probabilities: Floats) -> Integers:
    """Return the indices of the papers whose tags all have a probability below 0.5."""
    return np.flatnonzero(probabilities.max(axis=1, initial=0.0) < _LIKELY)


def find_clusters(
    vectors: Vectors, uncovered: Integers, distance: float = DISTANCE, min_papers: int = MIN_PAPERS
) -> list[tuple[Integers, float]]:
    """Cluster the papers with the indices ``uncovered``.

    ``vectors`` of shape (papers, dimensions) are those of all papers, whose mean is subtracted.
    Returns, for each cluster, the indices of its papers, the most central first, and its coherence.
    """
    from sklearn.cluster import AgglomerativeClustering

    min_papers = max(2, min_papers)
    if len(uncovered) < min_papers:
        return []
    sample = np.linspace(0, len(uncovered) - 1, min(len(uncovered), _MAX_PAPERS)).astype(int)
    uncovered = uncovered[sample]
    centred = unit(vectors - vectors.mean(axis=0))
    cosines = centred[uncovered] @ centred[uncovered].T
    assignment = AgglomerativeClustering(
        None, metric="precomputed", linkage="average", distance_threshold=distance
    ).fit_predict(1 - cosines)
    clusters = []
    for number in range(int(assignment.max()) + 1):
        members = np.flatnonzero(assignment == number)
        if len(members) < min_papers:
            continue
        similarities = cosines[np.ix_(members, members)].astype(np.float64)
        np.fill_diagonal(similarities, 0)
        order = np.argsort(-similarities.sum(axis=1), kind="stable")
        coherence = float(similarities.sum() / (len(members) * (len(members) - 1)))
        clusters.append((uncovered[members[order]], coherence))
    return clusters


def distinctive_terms(texts: Sequence[str], clusters: Sequence[Integers]) -> list[tuple[str, ...]]:
    """Return the distinctive words and word pairs of each cluster, the most distinctive first.

    Class-based TF-IDF (Grootendorst, "BERTopic: Neural topic modeling with a class-based TF-IDF
    procedure", 2022): ``tf * ln(1 + A / f)`` with the frequency ``f`` of a term in all texts, the
    mean number ``A`` of terms of a class, and the square root ``tf`` of the share of the term in
    the class. The square root reduces the weight of common terms. Texts outside all clusters form
    one class. Terms of a cluster do not share a word, in singular or plural.
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
    others = np.setdiff1d(np.arange(len(texts)), np.concatenate(list(clusters)))
    classes = np.stack(
        [np.asarray(counts[indices].sum(axis=0)).ravel() for indices in (*clusters, others)]
    )
    sizes = classes.sum(axis=1, keepdims=True)
    idf = np.log(1 + sizes.mean() / classes.sum(axis=0))
    weights = np.sqrt(classes / np.maximum(sizes, 1)) * idf
    found = []
    for indices, weight in zip(clusters, weights, strict=False):
        papers = np.asarray((counts[indices] > 0).sum(axis=0)).ravel()
        weight = np.where(papers >= max(2, _MIN_SHARE * len(indices)), weight, 0)
        chosen: list[str] = []
        used: set[str] = set()
        for column in np.argsort(-weight, kind="stable"):
            term = str(vocabulary[column])
            if len(chosen) == _TERMS or not weight[column]:
                break
            words = {word.removesuffix("s") for word in term.split()}
            if not used & words:
                chosen.append(term)
                used |= words
        found.append(tuple(chosen))
    return found


def _free_name(terms: Sequence[str], taken: set[str]) -> str:
    names = [_NOT_IN_NAME.sub("-", term.lower()).strip("-")[:_MAX_NAME] for term in terms]
    numbered = (f"new-{number}" for number in itertools.count(1))
    candidates = itertools.chain(names, numbered)
    return next(name for name in candidates if name and name not in taken)
