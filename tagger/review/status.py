"""Status: what waits, what is done, and what reviewers and model make of each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tagger.agreement import Agreement, measure_agreement
from tagger.labels import Conflict, ConflictRule, Label, find_conflicts, standing_labels
from tagger.review.project import ReviewTask
from tagger.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class TagVerdicts:
    """What reviewers made of one tag.

    ``given`` counts the answers on papers that the model gave it to, ``taken_away`` those of them
    without it, and ``added`` the answers with it where the model had not given it.
    """

    given: int
    taken_away: int
    added: int


@dataclass(frozen=True, slots=True)
class Anchoring:
    """Whether seeing the model's tags leads reviewers to agree with them.

    Parameters
    ----------
    facet:
        Its name.
    shown, blind:
        Number of answers given with and without the model's tags in view.
    agree_shown, agree_blind:
        Share of each that is just what the model had said.
    difference:
        ``agree_shown - agree_blind``.
    p_value:
        Of Fisher's exact test that both shares are the same ("The Design of Experiments", 1935).
    """

    facet: str
    shown: int
    blind: int
    agree_shown: float
    agree_blind: float
    difference: float
    p_value: float


@dataclass(frozen=True, slots=True)
class ReviewStatus:
    """Where a review stands.

    ``accuracy_by_chance`` is, per facet, how often reviewers said just what the model had said of
    papers that were drawn by chance, the one honest measure among reviewed papers, and the number
    of their answers. ``median_seconds`` is the time that an answer took.
    """

    waiting: int
    done: int
    skipped: int
    queues: dict[str, int]
    conflicts: list[Conflict]
    verdicts: dict[str, dict[str, TagVerdicts]]
    anchoring: list[Anchoring]
    agreement: list[Agreement]
    accuracy_by_chance: dict[str, tuple[float, int]]
    median_seconds: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the status for a script."""
        return asdict(self)


def review_status(
    tasks: Sequence[ReviewTask],
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    rule: ConflictRule = "latest",
) -> ReviewStatus:
    """Put together where a review stands.

    Parameters
    ----------
    tasks:
        All tasks of the project.
    labels:
        All that people said.
    taxonomy:
        The terms of both.
    rule:
        What settles a conflict.
    """
    waiting = [task for task in tasks if not task.touched]
    reviews = [label for label in standing_labels(labels) if label.source == "review"]
    return ReviewStatus(
        waiting=len(waiting),
        done=sum(task.done for task in tasks),
        skipped=sum(task.skipped and not task.done for task in tasks),
        queues=dict(Counter(str(task.data.get("queue", "")) for task in waiting)),
        conflicts=find_conflicts(labels, rule),
        verdicts={
            facet.name: _verdicts(reviews, facet.name, facet.tag_names) for facet in taxonomy.facets
        },
        anchoring=[found for facet in taxonomy.facets for found in _anchoring(reviews, facet.name)],
        agreement=measure_agreement(labels, taxonomy),
        accuracy_by_chance=_accuracy_by_chance(reviews, taxonomy),
        median_seconds=_median_seconds(reviews),
    )


def _verdicts(reviews: Iterable[Label], facet: str, tags: Iterable[str]) -> dict[str, TagVerdicts]:
    given: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    added: Counter[str] = Counter()
    for said, predicted, _ in _compared(reviews, facet):
        given.update(predicted)
        taken.update(predicted - said)
        added.update(said - predicted)
    return {tag: TagVerdicts(given[tag], taken[tag], added[tag]) for tag in tags}


def _anchoring(reviews: Iterable[Label], facet: str) -> list[Anchoring]:
    from scipy.stats import fisher_exact

    counts = {True: [0, 0], False: [0, 0]}
    for said, predicted, label in _compared(reviews, facet):
        # Rechecks are chosen because the model differs: no comparison is fair to them.
        if label.prediction and not (label.origin and label.origin.queue == "recheck"):
            counts[label.prediction.shown][said == predicted] += 1
    shown, blind = sum(counts[True]), sum(counts[False])
    if not shown or not blind:
        return []
    agree_shown, agree_blind = counts[True][1] / shown, counts[False][1] / blind
    p_value = float(fisher_exact([counts[True], counts[False]]).pvalue)
    difference = agree_shown - agree_blind
    return [Anchoring(facet, shown, blind, agree_shown, agree_blind, difference, p_value)]


def _accuracy_by_chance(
    reviews: Sequence[Label], taxonomy: Taxonomy
) -> dict[str, tuple[float, int]]:
    drawn = [label for label in reviews if label.origin and label.origin.queue == "random"]
    accuracy = {}
    for facet in taxonomy.facets:
        right = [said == predicted for said, predicted, _ in _compared(drawn, facet.name)]
        if right:
            accuracy[facet.name] = (sum(right) / len(right), len(right))
    return accuracy


def _compared(
    reviews: Iterable[Label], facet: str
) -> list[tuple[frozenset[str], frozenset[str], Label]]:
    """Return what was said and what the model had said, where both judged the facet."""
    return [
        (frozenset(label.tags[facet]), frozenset(label.prediction.tags[facet]), label)
        for label in reviews
        if label.prediction and facet in label.tags and facet in label.prediction.tags
    ]


def _median_seconds(reviews: Sequence[Label]) -> float | None:
    from statistics import median

    times = [label.origin.lead_time for label in reviews if label.origin and label.origin.lead_time]
    return median(times) if times else None
