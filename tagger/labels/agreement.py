"""Measure the agreement of reviewers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from tagger.labels.label import Label
from tagger.labels.merging import labels_by_paper, review_answers
from tagger.taxonomy import Facet, Taxonomy


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement on one facet, over the ``papers`` annotated by at least two reviewers.

    ``alpha`` is Krippendorff's: 1 for perfect agreement, 0 for agreement by chance. ``kappa`` is
    Cohen's for each pair of reviewers.
    """

    facet: str
    papers: int
    alpha: float
    kappa: dict[str, float]


def measure_agreement(labels: Sequence[Label], taxonomy: Taxonomy) -> list[Agreement]:
    """Measure the agreement on each facet in which at least two reviewers annotated a paper.

    Alpha: Krippendorff, "Content Analysis" (1980). Kappa: Cohen, "A Coefficient of Agreement for
    Nominal Scales" (1960). In a non-exclusive facet the distance between two answers is MASI
    (Passonneau, "Measuring Agreement on Set-valued Items (MASI)", 2006), and kappa is weighted
    (Cohen, "Weighted kappa", 1968). Both are computed by ``nltk.metrics.agreement``.
    """
    agreements = []
    by_paper = labels_by_paper(labels)
    for facet in taxonomy.facets:
        several = {
            paper: {annotator: frozenset(tags) for annotator, tags in answers.items()}
            for paper, answers in review_answers(by_paper, facet.name).items()
            if len(answers) > 1
        }
        if several:
            rows = [
                (annotator, paper, tags)
                for paper, answers in several.items()
                for annotator, tags in answers.items()
            ]
            alpha = _coefficient("alpha", rows, facet)
            kappa = {}
            pairs = {pair for one in several.values() for pair in combinations(sorted(one), 2)}
            for pair in sorted(pairs):
                own = [row for row in rows if row[0] in pair and several[row[1]].keys() >= {*pair}]
                kappa[" and ".join(pair)] = _coefficient("weighted_kappa", own, facet)
            agreements.append(Agreement(facet.name, len(several), alpha, kappa))
    return agreements


def _coefficient(name: str, rows: list[tuple[str, str, frozenset[str]]], facet: Facet) -> float:
    from nltk.metrics.agreement import AnnotationTask
    from nltk.metrics.distance import binary_distance, masi_distance

    def set_distance(first: frozenset[str], second: frozenset[str]) -> float:
        # MASI divides by the size of the union, which is 0 for two empty answers.
        return 0.0 if first == second else float(masi_distance(first, second))

    distance = binary_distance if facet.exclusive else set_distance
    try:
        return float(getattr(AnnotationTask(rows, distance), name)())
    except ZeroDivisionError:
        # All answers are the same: NLTK returns 1 for alpha, but divides by zero for kappa.
        return 1.0
