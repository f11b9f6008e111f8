"""Drift: measure how much new papers differ from those that the model was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel

from tagger._util.arrays import Booleans, Floats
from tagger._util.binomial import at_least
from tagger.model.decision import ReviewRule
from tagger.model.training_reference import Reference
from tagger.taxonomy import Facet, Taxonomy

_UNFAMILIAR_QUANTILE = 0.05
_WARN_UNFAMILIAR = 0.25
"""Share of unfamiliar papers: five times the expected one."""
_WARN_REVIEW = (2.0, 0.2)
"""Warn if the share to review is at least twice the expected one, and larger by at least 0.2."""
_STEPS = 1000
_SIGNIFICANCE = 0.005
"""Level of the one-sided binomial test behind both warnings."""


@dataclass(frozen=True, slots=True)
class FacetDrift:
    """Mean confidence in one facet, and the share of papers with each tag.

    The expected values are those of the labelled papers in cross-validation.
    """

    confidence: float
    expected_confidence: float
    shares: dict[str, float]
    expected_shares: dict[str, float]

    @property
    def distance(self) -> float:
        """Total variation distance of the shares, 0 to 1 in an exclusive facet."""
        return sum(abs(self.shares[tag] - self.expected_shares[tag]) for tag in self.shares) / 2


@dataclass(frozen=True, slots=True)
class Drift:
    """New papers compared with the labelled papers, as predicted in cross-validation.

    ``similarity`` is the median cosine similarity to the nearest labelled paper. Papers with a
    lower similarity than 95% of the labelled papers are unfamiliar; ``unfamiliar_share`` is about
    0.05 without drift. ``review_share`` is the share of papers to review.
    """

    papers: int
    similarity: float
    expected_similarity: float
    unfamiliar_share: float
    review_share: float
    expected_review_share: float
    facets: dict[str, FacetDrift]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings for the user; empty if the new papers are like the labelled ones."""
        found = []
        share, expected = self.unfamiliar_share, _UNFAMILIAR_QUANTILE
        if share >= _WARN_UNFAMILIAR and self._is_significant(share, expected):
            found.append(
                f"{share:.0%} of the papers are unlike those that the model was trained on "
                f"(expected: {expected:.0%})"
            )
        share, expected = self.review_share, self.expected_review_share
        factor, margin = _WARN_REVIEW
        least = max(factor * expected, expected + margin)
        if share >= least and self._is_significant(share, expected):
            found.append(
                f"{share:.0%} of the papers need review (in cross-validation: {expected:.0%})"
            )
        return tuple(found)

    def _is_significant(self, share: float, expected: float) -> bool:
        return at_least(round(share * self.papers), self.papers, expected) < _SIGNIFICANCE

    def figures(self) -> dict[str, float]:
        """Return all figures by the names under which MLflow logs them."""
        found = {"papers": float(self.papers), "unfamiliar_share": self.unfamiliar_share}
        for name in ("review_share", "similarity"):
            found[name] = getattr(self, name)
            found[f"{name}_expected"] = getattr(self, f"expected_{name}")
        for name, facet in self.facets.items():
            found[f"{name}/confidence"] = facet.confidence
            found[f"{name}/confidence_expected"] = facet.expected_confidence
            found[f"{name}/tag_shift"] = facet.distance
            for tag, share in facet.shares.items():
                found[f"{name}/share/{tag}"] = share
        return found


class DriftCounts(BaseModel):
    """Counts from which the drift of papers is computed; counts of several parts can be added.

    ``similarity`` is the number of papers by their cosine similarity to the nearest labelled paper,
    in thousandths. ``confidence`` is the sum of the confidences per facet, ``given`` the number of
    papers per facet and predicted tag.
    """

    papers: int = 0
    doubtful: int = 0
    unfamiliar: int = 0
    similarity: Counter[int] = Counter()
    confidence: dict[str, float] = {}
    given: dict[str, Counter[str]] = {}

    def add(self, other: DriftCounts) -> None:
        """Add the counts of another part."""
        self.papers += other.papers
        self.doubtful += other.doubtful
        self.unfamiliar += other.unfamiliar
        self.similarity += other.similarity
        for facet, counts in other.given.items():
            self.confidence[facet] = self.confidence.get(facet, 0) + other.confidence[facet]
            self.given.setdefault(facet, Counter()).update(counts)


def count_drift(
    similarity: Floats,
    probabilities: Mapping[str, Floats],
    reference: Reference,
    taxonomy: Taxonomy,
    rule: ReviewRule,
) -> DriftCounts:
    """Count papers by their similarity, shape (papers,), and probabilities per facet.

    ``similarity`` is that of :meth:`Reference.similarity_of`; ``probabilities`` have shape (papers,
    tags). The reference must contain at least one paper.
    """
    threshold = np.quantile(reference.similarity, _UNFAMILIAR_QUANTILE)
    counts = DriftCounts(
        papers=len(similarity),
        doubtful=int(_doubtful(taxonomy, probabilities, rule).sum()),
        unfamiliar=int((similarity < threshold).sum()),
        similarity=Counter(np.rint(similarity * _STEPS).astype(int).tolist()),
    )
    for facet in taxonomy.facets:
        found = probabilities[facet.name]
        given = rule.predict_labels(facet, found).sum(axis=0).tolist()
        counts.confidence[facet.name] = float(_confidence(facet, found).sum())
        counts.given[facet.name] = Counter(dict(zip(facet.tag_names, given, strict=True)))
    return counts


def drift_of(
    counts: DriftCounts, reference: Reference, taxonomy: Taxonomy, rule: ReviewRule
) -> Drift:
    """Return the drift of the papers that were counted; there must be at least one."""
    facets = {}
    for facet in taxonomy.facets:
        expected = reference.probabilities[facet.name]
        given = counts.given[facet.name]
        shares = rule.predict_labels(facet, expected).mean(axis=0)
        facets[facet.name] = FacetDrift(
            counts.confidence[facet.name] / counts.papers,
            float(_confidence(facet, expected).mean()),
            {tag: given[tag] / counts.papers for tag in facet.tag_names},
            dict(zip(facet.tag_names, shares.tolist(), strict=True)),
        )
    return Drift(
        papers=counts.papers,
        similarity=_median(counts.similarity) / _STEPS,
        expected_similarity=float(np.median(reference.similarity)),
        unfamiliar_share=counts.unfamiliar / counts.papers,
        review_share=counts.doubtful / counts.papers,
        expected_review_share=expected_review_share(reference, taxonomy, rule),
        facets=facets,
    )


def _median(counts: Counter[int]) -> float:
    """Return the median of values, given how often each occurs."""
    values = np.array([*counts], dtype=np.int16)
    return float(np.median(np.repeat(values, [*counts.values()])))


def expected_review_share(reference: Reference, taxonomy: Taxonomy, rule: ReviewRule) -> float:
    """Return the share of labelled papers to review by their out-of-fold predictions, 0 to 1."""
    return float(_doubtful(taxonomy, reference.probabilities, rule).mean())


def _doubtful(
    taxonomy: Taxonomy, probabilities: Mapping[str, Floats], rule: ReviewRule
) -> Booleans:
    doubts = [rule.doubts(facet, probabilities[facet.name]) for facet in taxonomy.facets]
    return np.asarray(np.any(doubts, axis=0))


def _confidence(facet: Facet, probabilities: Floats) -> Floats:
    """Return the mean confidence in the decisions on a paper's tags, shape (papers,)."""
    if facet.exclusive:
        return np.asarray(probabilities.max(axis=1))
    return np.asarray(np.maximum(probabilities, 1 - probabilities).mean(axis=1))
