"""Agreement: how far reviewers of the same papers say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from tagger.labels.store import Label, labels_by_paper, review_answers
from tagger.taxonomy import Facet, Taxonomy


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far reviewers agree on one facet, over ``papers`` that two or more of them annotated.

    ``alpha`` is Krippendorff's, 1 for perfect agreement, 0 for chance; ``kappa`` is Cohen's of
    each pair of annotators.
    """

    facet: str
    papers: int
    alpha: float
    kappa: dict[str, float]


def measure_agreement(labels: Sequence[Label], taxonomy: Taxonomy) -> list[Agreement]:
    """Measure how far reviewers agree, per facet that two or more people judged a paper in.

    Alpha: Krippendorff, "Content Analysis" (1980). Kappa: Cohen, "A Coefficient of Agreement for
    Nominal Scales" (1960). Answers with several tags are as far apart as their MASI distance, and
    kappa is then the weighted one (Cohen, "Weighted kappa", 1968)
    (Passonneau, "Measuring Agreement on Set-valued Items (MASI)", 2006); both as in NLTK's
    ``nltk.metrics.agreement``.
    """
    agreements = []
    by_paper = labels_by_paper(labels)
    for facet in taxonomy.facets:
        several = {
            paper: {who: frozenset(tags) for who, tags in said.items()}
            for paper, said in review_answers(by_paper, facet.name).items()
            if len(said) > 1
        }
        if several:
            rows = [(who, paper, said[who]) for paper, said in several.items() for who in said]
            alpha = _coefficient("alpha", rows, facet)
            kappa = {}
            pairs = {pair for said in several.values() for pair in combinations(sorted(said), 2)}
            for pair in sorted(pairs):
                own = [row for row in rows if row[0] in pair and several[row[1]].keys() >= {*pair}]
                kappa[" and ".join(pair)] = _coefficient("weighted_kappa", own, facet)
            agreements.append(Agreement(facet.name, len(several), alpha, kappa))
    return agreements


def _coefficient(name: str, rows: list[tuple[str, str, frozenset[str]]], facet: Facet) -> float:
    from nltk.metrics.agreement import AnnotationTask
    from nltk.metrics.distance import binary_distance, masi_distance

    def set_distance(first: frozenset[str], second: frozenset[str]) -> float:
        # MASI divides by the size of the union, which two empty answers do not have.
        return 0.0 if first == second else float(masi_distance(first, second))

    distance = binary_distance if facet.exclusive else set_distance
    try:
        return float(getattr(AnnotationTask(rows, distance), name)())
    except ZeroDivisionError:
        # All gave one and the same answer throughout: NLTK's alpha is 1 then, its kappa is not.
        return 1.0
