"""Drift: is a digest unlike the papers that the model was trained on?"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tagger._util.arrays import Booleans, Floats
from tagger.model.decision import ReviewRule
from tagger.model.training_reference import Reference
from tagger.taxonomy import Facet, Taxonomy

_UNFAMILIAR_QUANTILE = 0.05
_WARN_UNFAMILIAR = 0.25
"""Share of unfamiliar papers: five times the expected one."""
_WARN_REVIEW = (2.0, 0.2)
"""Share of papers to review: so many times the expected one, and more than it by so much."""
_SIGNIFICANCE = 0.005
"""Level of the one-sided binomial test behind both warnings."""


@dataclass(frozen=True, slots=True)
class FacetDrift:
    """Mean confidence in one facet and the share of papers of each tag; expected: held out."""

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
    """A digest compared with the labelled papers, as these were held out in cross-validation.

    ``similarity`` is the median cosine with the nearest labelled paper, ``unfamiliar_share`` the
    share of papers less familiar than 95% of those held out: about 0.05 if the digest is like them.
    ``review_share`` is the share of papers to review.
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
        """Warnings for a user, in words; empty if the digest is like the labelled papers."""
        found = []
        share, expected = self.unfamiliar_share, _UNFAMILIAR_QUANTILE
        if share >= _WARN_UNFAMILIAR and self._is_significant(share, expected):
            found.append(
                f"{share:.0%} of the papers are unlike those that the model was trained on, where "
                f"{expected:.0%} are to be expected"
            )
        share, expected = self.review_share, self.expected_review_share
        factor, margin = _WARN_REVIEW
        least = max(factor * expected, expected + margin)
        if share >= least and self._is_significant(share, expected):
            found.append(
                f"{share:.0%} of the papers are doubtful, where {expected:.0%} were in "
                "cross-validation"
            )
        return tuple(found)

    def _is_significant(self, share: float, expected: float) -> bool:
        """Test whether a binomial count is above what is expected; a light install has no SciPy."""
        papers, p = self.papers, min(max(expected, 1e-6), 1 - 1e-6)
        # In logarithms, for pages of thousands.
        tail = (
            math.lgamma(papers + 1)
            - math.lgamma(k + 1)
            - math.lgamma(papers - k + 1)
            + k * math.log(p)
            + (papers - k) * math.log1p(-p)
            for k in range(round(share * papers), papers + 1)
        )
        return sum(map(math.exp, tail)) < _SIGNIFICANCE

    def figures(self) -> dict[str, float]:
        """Return all figures under the names they are logged by."""
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


class DriftMeter:
    """Compares a digest, added a batch at a time, with the labelled papers, one at least."""

    def __init__(self, reference: Reference, taxonomy: Taxonomy, rule: ReviewRule) -> None:
        self._reference = reference
        self._taxonomy = taxonomy
        self._rule = rule
        self._similarity = array("d")
        self._doubtful = 0
        self._confidence = dict.fromkeys((facet.name for facet in taxonomy.facets), 0.0)
        self._given = {facet.name: np.zeros(len(facet.tags)) for facet in taxonomy.facets}

    def add(self, similarity: Floats, probabilities: Mapping[str, Floats]) -> None:
        """Add a batch: :meth:`Reference.similarity_of` it, and probabilities per facet."""
        self._similarity.extend(similarity.tolist())
        self._doubtful += int(_doubtful(self._taxonomy, probabilities, self._rule).sum())
        for facet in self._taxonomy.facets:
            self._confidence[facet.name] += _confidence(facet, probabilities[facet.name]).sum()
            predicted = self._rule.predict_labels(facet, probabilities[facet.name])
            self._given[facet.name] += predicted.sum(axis=0)

    def drift(self) -> Drift:
        """Return the drift of the papers that were added, of which there has to be one."""
        reference, papers = self._reference, len(self._similarity)
        similarity = np.array(self._similarity)
        threshold = float(np.quantile(reference.similarity, _UNFAMILIAR_QUANTILE))
        facets = {}
        for facet in self._taxonomy.facets:
            expected = reference.probabilities[facet.name]
            facets[facet.name] = FacetDrift(
                float(self._confidence[facet.name] / papers),
                float(_confidence(facet, expected).mean()),
                _by_tag(facet, self._given[facet.name] / papers),
                _by_tag(facet, self._rule.predict_labels(facet, expected).mean(axis=0)),
            )
        return Drift(
            papers=papers,
            similarity=float(np.median(similarity)),
            expected_similarity=float(np.median(reference.similarity)),
            unfamiliar_share=float((similarity < threshold).mean()),
            review_share=self._doubtful / papers,
            expected_review_share=expected_review_share(reference, self._taxonomy, self._rule),
            facets=facets,
        )


def measure_drift(
    similarity: Floats,
    probabilities: Mapping[str, Floats],
    reference: Reference,
    taxonomy: Taxonomy,
    rule: ReviewRule,
) -> Drift:
    """Return the drift of one batch of papers; parameters as for :class:`DriftMeter`."""
    meter = DriftMeter(reference, taxonomy, rule)
    meter.add(similarity, probabilities)
    return meter.drift()


def expected_review_share(reference: Reference, taxonomy: Taxonomy, rule: ReviewRule) -> float:
    """Return the share of labelled papers that would have gone to review, held out, 0 to 1."""
    return float(_doubtful(taxonomy, reference.probabilities, rule).mean())


def _doubtful(
    taxonomy: Taxonomy, probabilities: Mapping[str, Floats], rule: ReviewRule
) -> Booleans:
    doubts = [rule.doubts(facet, probabilities[facet.name]) for facet in taxonomy.facets]
    return np.asarray(np.any(doubts, axis=0))


def _by_tag(facet: Facet, shares: Floats) -> dict[str, float]:
    return dict(zip(facet.tag_names, map(float, shares), strict=True))


def _confidence(facet: Facet, probabilities: Floats) -> Floats:
    """Return the confidence in each paper's tag, of several tags the mean, shape (papers,)."""
    if facet.exclusive:
        return np.asarray(probabilities.max(axis=1))
    return np.asarray(np.maximum(probabilities, 1 - probabilities).mean(axis=1))
