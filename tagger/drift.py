"""Drift: is a digest unlike what the model was trained on?"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tagger.decision import ReviewRule
from tagger.evaluation import assign
from tagger.heads import Floats
from tagger.reference import Reference
from tagger.taxonomy import Taxonomy

_UNFAMILIAR_QUANTILE = 0.05
_WARN_UNFAMILIAR = 0.25
_WARN_REVIEW = (2.0, 0.2)
_WARN_CHANCE = 0.005
"""Five times as many unfamiliar papers as expected, or twice as many doubtful ones and at least a
fifth more, where chance brings so many on fewer than one page in two hundred."""


@dataclass(frozen=True, slots=True)
class FacetDrift:
    """The answers of a model in one facet, beside those in its cross-validation.

    Parameters
    ----------
    confidence, expected_confidence:
        Mean confidence in the answers given, 0 to 1.
    shares, expected_shares:
        Per tag, the share of papers that get it.
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
    """A digest beside the labelled papers.

    Parameters
    ----------
    papers:
        How many papers the digest has.
    familiarity, expected_familiarity:
        Median cosine with the nearest labelled paper, of the digest and of labelled papers held
        out in cross-validation.
    unfamiliar_share:
        Share of papers that are less familiar than 95% of those held out; about 0.05 if the
        digest is like them.
    review_share, expected_review_share:
        Share of papers to review, in the digest and in cross-validation.
    facets:
        The answers in each facet.
    """

    papers: int
    familiarity: float
    expected_familiarity: float
    unfamiliar_share: float
    review_share: float
    expected_review_share: float
    facets: dict[str, FacetDrift]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know before trusting the tags, in words; empty if all is well."""
        found = []
        if self.unfamiliar_share >= _WARN_UNFAMILIAR and self._is_no_chance(
            self.unfamiliar_share, _UNFAMILIAR_QUANTILE
        ):
            found.append(
                f"{self.unfamiliar_share:.0%} of the papers are unlike those that the model was "
                f"trained on, where {_UNFAMILIAR_QUANTILE:.0%} are to be expected"
            )
        factor, margin = _WARN_REVIEW
        expected = self.expected_review_share
        if self.review_share >= max(factor * expected, expected + margin) and self._is_no_chance(
            self.review_share, expected
        ):
            found.append(
                f"{self.review_share:.0%} of the papers are doubtful, where {expected:.0%} were in "
                "cross-validation"
            )
        return tuple(found)

    def _is_no_chance(self, share: float, expected: float) -> bool:
        """Tell whether a binomial count is as high by chance on very few pages alone."""
        papers, chance = self.papers, min(max(expected, 1e-6), 1 - 1e-6)
        # In logarithms, for pages of thousands.
        terms = (
            math.lgamma(papers + 1)
            - math.lgamma(k + 1)
            - math.lgamma(papers - k + 1)
            + k * math.log(chance)
            + (papers - k) * math.log1p(-chance)
            for k in range(round(share * papers), papers + 1)
        )
        return sum(map(math.exp, terms)) < _WARN_CHANCE

    def figures(self) -> dict[str, float]:
        """Return all figures under the names they are logged by."""
        found = {
            "papers": float(self.papers),
            "review_share": self.review_share,
            "review_share_expected": self.expected_review_share,
            "familiarity": self.familiarity,
            "familiarity_expected": self.expected_familiarity,
            "unfamiliar_share": self.unfamiliar_share,
        }
        for name, facet in self.facets.items():
            found[f"{name}/confidence"] = facet.confidence
            found[f"{name}/confidence_expected"] = facet.expected_confidence
            found[f"{name}/tag_shift"] = facet.distance
            for tag, share in facet.shares.items():
                found[f"{name}/share/{tag}"] = share
        return found


class DriftMeter:
    """Sets the papers of a digest beside the labelled papers of a model, some at a time.

    8 bytes a paper are kept.

    Parameters
    ----------
    reference:
        What the model remembers of its training, at least one paper.
    taxonomy:
        Of the model.
    rule:
        When a paper goes to review.
    """

    def __init__(self, reference: Reference, taxonomy: Taxonomy, rule: ReviewRule) -> None:
        self._reference = reference
        self._taxonomy = taxonomy
        self._rule = rule
        self._familiarity = array("d")
        self._doubtful = 0
        self._confidence = dict.fromkeys((facet.name for facet in taxonomy.facets), 0.0)
        self._given = {facet.name: np.zeros(len(facet.tags)) for facet in taxonomy.facets}

    def add(self, familiarity: Floats, probabilities: Mapping[str, Floats]) -> None:
        """Look at some papers.

        Parameters
        ----------
        familiarity:
            Of each paper, see :meth:`Reference.familiarity_of`, shape (papers,).
        probabilities:
            Per facet, shape (papers, tags).
        """
        self._familiarity.extend(familiarity.tolist())
        doubtful = np.zeros(len(familiarity), dtype=bool)
        for facet in self._taxonomy.facets:
            now = probabilities[facet.name]
            self._confidence[facet.name] += float(_confidence(now, facet.exclusive).sum())
            self._given[facet.name] += assign(facet, now).sum(axis=0)
            doubtful |= self._rule.doubts(facet, now)
        self._doubtful += int(doubtful.sum())

    def drift(self) -> Drift:
        """Return how far the papers, of which there has to be one, are from the labelled ones."""
        reference, papers = self._reference, len(self._familiarity)
        familiarity = np.array(self._familiarity)
        least = float(np.quantile(reference.familiarity, _UNFAMILIAR_QUANTILE))
        facets = {}
        for facet in self._taxonomy.facets:
            before = reference.probabilities[facet.name]
            shares, expected_shares = (
                dict(zip(facet.tag_names, map(float, share), strict=True))
                for share in (
                    self._given[facet.name] / papers,
                    assign(facet, before).mean(axis=0),
                )
            )
            facets[facet.name] = FacetDrift(
                self._confidence[facet.name] / papers,
                float(_confidence(before, facet.exclusive).mean()),
                shares,
                expected_shares,
            )
        return Drift(
            papers=papers,
            familiarity=float(np.median(familiarity)),
            expected_familiarity=float(np.median(reference.familiarity)),
            unfamiliar_share=float((familiarity < least).mean()),
            review_share=self._doubtful / papers,
            expected_review_share=expected_review_share(reference, self._taxonomy, self._rule),
            facets=facets,
        )


def measure_drift(
    familiarity: Floats,
    probabilities: Mapping[str, Floats],
    reference: Reference,
    taxonomy: Taxonomy,
    rule: ReviewRule,
) -> Drift:
    """Set the papers of a digest beside the labelled papers of a model.

    Parameters
    ----------
    familiarity, probabilities:
        As for :meth:`DriftMeter.add`, of at least one paper.
    reference, taxonomy, rule:
        As for :class:`DriftMeter`.
    """
    meter = DriftMeter(reference, taxonomy, rule)
    meter.add(familiarity, probabilities)
    return meter.drift()


def expected_review_share(reference: Reference, taxonomy: Taxonomy, rule: ReviewRule) -> float:
    """Return the share of labelled papers that would have gone to review, held out, 0 to 1."""
    doubtful = [rule.doubts(f, reference.probabilities[f.name]) for f in taxonomy.facets]
    return float(np.any(doubtful, axis=0).mean())


def _confidence(probabilities: Floats, exclusive: bool) -> Floats:
    """Return how sure the answers are, of several tags the mean, shape (papers,)."""
    if exclusive:
        return np.asarray(probabilities.max(axis=1))
    return np.asarray(np.maximum(probabilities, 1 - probabilities).mean(axis=1))
