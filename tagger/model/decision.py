"""Decide from probabilities which tags a paper gets, and whether it goes to review."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Booleans, Floats
from tagger.evaluation import DEFAULT_THRESHOLD, HeldOut, predict_labels
from tagger.papers import Paper, Review, TaggedPaper
from tagger.taxonomy import Facet, Taxonomy

NEVER = 2.0
"""A confidence that no tag has."""
_STEPS = 10_000
"""Confidences are rounded to 1/10,000; smaller differences are noise and depend on the machine."""


@dataclass(frozen=True, slots=True)
class ReviewRule:
    """The rule that gives tags to papers and sends papers to review.

    A paper goes to review if the confidence in the tag of an exclusive facet, or in the presence or
    absence of any tag of another facet, is below ``min_confidence``: 0.5 sends almost no paper, 1
    almost every paper. ``accept`` replaces it for given tags, by facet and tag; see
    :mod:`tagger.model.risk_control`. ``thresholds`` are the minimum probabilities of a given tag by
    facet, 0.5 by default; they do not apply to exclusive facets.
    """

    min_confidence: float = 0.6
    accept: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: Iterable[HeldOut]) -> ReviewRule:
        """Return the rule of the model that made some predictions, one table per facet."""
        by_facet = {table.facet.name: table for table in tables}
        return cls(
            accept={name: dict.fromkeys(one.capped, NEVER) for name, one in by_facet.items()},
            thresholds={name: one.threshold for name, one in by_facet.items()},
        )

    def threshold(self, facet: Facet) -> float:
        """Return the minimum probability of a given tag of a facet."""
        return self.thresholds.get(facet.name, DEFAULT_THRESHOLD)

    def predict_labels(self, facet: Facet, probabilities: Floats) -> Booleans:
        """Return the mask of the given tags, shape (papers, tags) as the probabilities."""
        return predict_labels(facet, probabilities, self.threshold(facet))

    def doubted_tags(self, facet: Facet, probabilities: Floats) -> Booleans:
        """Return the mask of the uncertain tags, shape (papers, tags); one at most if exclusive."""
        thresholds = self.accept.get(facet.name, {})
        bars = np.array([thresholds.get(tag, self.min_confidence) for tag in facet.tag_names])
        given = self.predict_labels(facet, probabilities)
        unsure = given & (probabilities < bars)
        if not facet.exclusive:
            unsure |= ~given & (1 - probabilities < self.min_confidence)
        return np.asarray(unsure)

    def doubts(self, facet: Facet, probabilities: Floats) -> Booleans:
        """Return whether each paper goes to review because of a facet, shape (papers,)."""
        return np.asarray(self.doubted_tags(facet, probabilities).any(axis=1))


def decide(
    papers: Sequence[Paper],
    probabilities: Mapping[str, Floats],
    taxonomy: Taxonomy,
    model: str,
    rule: ReviewRule,
    novelty: Sequence[str] = (),
) -> list[TaggedPaper]:
    """Return each paper with its tags and, if it goes to review, the reason.

    ``probabilities`` are calibrated, per facet, shape (papers, tags); ``model`` is the name of the
    model that predicted them. ``novelty`` has the reason of :func:`tagger.model.novelty_reasons`
    for each paper. If it is not empty, the paper goes to review in all facets.
    """
    rows = [{name: p[row] for name, p in probabilities.items()} for row in range(len(papers))]
    return [
        _decide_one(paper, row, taxonomy, model, rule, reason)
        for paper, row, reason in zip(papers, rows, novelty or [""] * len(papers), strict=True)
    ]


def _decide_one(
    paper: Paper,
    probabilities: Mapping[str, npt.NDArray[np.float64]],
    taxonomy: Taxonomy,
    model: str,
    rule: ReviewRule,
    novelty: str,
) -> TaggedPaper:
    tags: dict[str, tuple[str, ...]] = {}
    confidence, doubts = {}, {}
    for facet in taxonomy.facets:
        steps = _in_steps(probabilities[facet.name], facet.exclusive)
        # Equal confidences keep the order of the taxonomy.
        ranked = sorted(range(len(steps)), key=lambda column: -steps[column])
        by_tag = {facet.tag_names[column]: steps[column] / _STEPS for column in ranked}
        confidence[facet.name] = by_tag
        if facet.exclusive:
            tags[facet.name] = (facet.tag_names[ranked[0]],)
        else:
            tags[facet.name] = tuple(
                tag for tag in facet.tag_names if by_tag[tag] >= rule.threshold(facet)
            )
        unsure = [f"{tag} {by_tag[tag]:.2f}" for tag in doubtful_tags(facet, by_tag, rule)]
        if unsure:
            listed = " or ".join(unsure) if facet.exclusive else ", ".join(unsure) + "?"
            doubts[facet.name] = f"{facet.name}: {listed}"
    reasons = [novelty] * bool(novelty) + [*doubts.values()]
    facets = tuple(facet.name for facet in taxonomy.facets) if novelty else tuple(doubts)
    review = Review(facets, "; ".join(reasons)) if reasons else None
    return TaggedPaper(
        paper.id,
        paper.title,
        paper.sources,
        tags,
        confidence,
        review,
        model,
        taxonomy.version,
        identifiers=paper.identifiers,
    )


def doubtful_tags(
    facet: Facet, probabilities: Mapping[str, float], rule: ReviewRule
) -> tuple[str, ...]:
    """Return the uncertain tags, given probabilities in descending order.

    In an exclusive facet these are the two most probable tags, or none.
    """
    row = np.array([[probabilities[tag] for tag in facet.tag_names]])
    doubted = rule.doubted_tags(facet, row)[0]
    if facet.exclusive:
        return tuple(list(probabilities)[:2]) if doubted.any() else ()
    return tuple(tag for tag in probabilities if doubted[facet.tag_names.index(tag)])


def _in_steps(probabilities: npt.NDArray[np.float64], exclusive: bool) -> list[int]:
    """Round to steps; those of an exclusive facet sum to ``_STEPS`` (largest remainder method)."""
    exact = probabilities * _STEPS
    if not exclusive:
        return [int(step) for step in np.rint(exact)]
    steps = np.floor(exact).astype(int)
    missing = _STEPS - int(steps.sum())
    for column in np.argsort(-(exact - steps), kind="stable")[:missing]:
        steps[column] += 1
    return [int(step) for step in steps]
