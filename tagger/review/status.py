"""Status: what waits, what is done, and how far reviewers and model agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from tagger.labels import (
    Agreement,
    Conflict,
    ConflictRule,
    Label,
    find_conflicts,
    measure_agreement,
    standing_labels,
)
from tagger.review.project import ReviewTask
from tagger.taxonomy import Facet, Taxonomy


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

    ``shown`` and ``blind`` count the answers given with and without the model's tags in view,
    ``agree_shown`` and ``agree_blind`` are the shares of them that equal the model's, and
    ``difference`` is the first less the second. ``p_value`` is that of Fisher's exact test that
    both shares are the same ("The Design of Experiments", 1935).
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

    ``accuracy_by_chance`` is, per facet, how often reviewers agreed with the model on papers that
    were sampled at random, the one measure without selection bias, and the number of answers.
    ``median_seconds`` is the time that an answer took.
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


def review_status(
    tasks: Sequence[ReviewTask],
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    rule: ConflictRule = "latest",
) -> ReviewStatus:
    """Put together where a review stands, from all tasks and all labels."""
    waiting = [task for task in tasks if not task.touched]
    reviews = [label for label in standing_labels(labels) if label.source == "review"]
    compared = {facet.name: _compare(reviews, facet.name) for facet in taxonomy.facets}
    times = [label.origin.lead_time for label in reviews if label.origin and label.origin.lead_time]
    sampled = {
        facet: [answer.agrees for answer in answers if answer.queue == "random"]
        for facet, answers in compared.items()
    }
    anchoring = [_anchoring(facet, answers) for facet, answers in compared.items()]
    return ReviewStatus(
        waiting=len(waiting),
        done=sum(task.done for task in tasks),
        skipped=sum(task.skipped and not task.done for task in tasks),
        queues=dict(Counter(str(task.data.get("queue", "")) for task in waiting)),
        conflicts=find_conflicts(labels, rule),
        verdicts={facet.name: _verdicts(compared[facet.name], facet) for facet in taxonomy.facets},
        anchoring=[found for found in anchoring if found],
        agreement=measure_agreement(labels, taxonomy),
        accuracy_by_chance={
            facet: (sum(agree) / len(agree), len(agree))
            for facet, agree in sampled.items()
            if agree
        },
        median_seconds=median(times) if times else None,
    )


class _Answer(NamedTuple):
    """The tags of one facet that a reviewer and the model gave a paper."""

    given: frozenset[str]
    predicted: frozenset[str]
    agrees: bool
    shown: bool
    queue: str | None


def _compare(reviews: Sequence[Label], facet: str) -> list[_Answer]:
    """Return the answers to a facet that the model had predicted."""
    answers = []
    for label in reviews:
        if label.prediction and facet in label.tags and facet in label.prediction.tags:
            given = frozenset(label.tags[facet])
            predicted = frozenset(label.prediction.tags[facet])
            queue = label.origin.queue if label.origin else None
            agrees = given == predicted
            answers.append(_Answer(given, predicted, agrees, label.prediction.shown, queue))
    return answers


def _verdicts(answers: Sequence[_Answer], facet: Facet) -> dict[str, TagVerdicts]:
    given = Counter(tag for answer in answers for tag in answer.predicted)
    taken = Counter(tag for answer in answers for tag in answer.predicted - answer.given)
    added = Counter(tag for answer in answers for tag in answer.given - answer.predicted)
    return {tag: TagVerdicts(given[tag], taken[tag], added[tag]) for tag in facet.tag_names}


def _anchoring(facet: str, answers: Sequence[_Answer]) -> Anchoring | None:
    from scipy.stats import fisher_exact

    # Rechecks are chosen because the model differs: no comparison is fair to them.
    fair = [answer for answer in answers if answer.queue != "recheck"]
    shown = [answer.agrees for answer in fair if answer.shown]
    blind = [answer.agrees for answer in fair if not answer.shown]
    if not shown or not blind:
        return None
    table = [[agree.count(True), agree.count(False)] for agree in (shown, blind)]
    agree_shown, agree_blind = sum(shown) / len(shown), sum(blind) / len(blind)
    return Anchoring(
        facet=facet,
        shown=len(shown),
        blind=len(blind),
        agree_shown=agree_shown,
        agree_blind=agree_blind,
        difference=agree_shown - agree_blind,
        p_value=float(fisher_exact(table).pvalue),
    )
