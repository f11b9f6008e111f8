"""Summarize a review: progress, agreement of reviewers with the model and with each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from tagger.labels import (
    Agreement,
    Conflict,
    ConflictRule,
    Label,
    current_labels,
    find_conflicts,
    labels_by_paper,
    measure_agreement,
    merge_labels,
)
from tagger.review.project import ReviewTask
from tagger.review.tasks import BLIND_QUEUES
from tagger.taxonomy import Facet, Taxonomy


@dataclass(frozen=True, slots=True)
class TagVerdicts:
    """Answers of reviewers about one tag.

    ``given`` counts answers to papers for which the model predicted the tag, ``taken_away`` those
    of them without the tag, and ``added`` answers with the tag where the model did not predict it.
    """

    given: int
    taken_away: int
    added: int


@dataclass(frozen=True, slots=True)
class Anchoring:
    """Anchoring: agreement with the model when its tags are shown, compared to blind answers.

    ``shown`` and ``blind`` count the answers; ``agree_shown`` and ``agree_blind`` are the shares
    that equal the model's tags, and ``difference`` is the first minus the second. ``p_value`` is
    that of Fisher's exact test for equal shares ("The Design of Experiments", 1935).
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
    """Progress and results of a review.

    The numbers of tasks, ``waiting``, ``done`` and ``skipped``, are None if they are not known; a
    task with no more than a draft waits.
    ``audit`` tells, per facet, how many papers of the audit sample were predicted correctly by the
    version that they were sent with, and of how many. ``median_seconds`` is the median time of an
    answer.
    """

    waiting: int | None
    done: int | None
    skipped: int | None
    queues: dict[str, int]
    conflicts: list[Conflict]
    verdicts: dict[str, dict[str, TagVerdicts]]
    anchoring: list[Anchoring]
    agreement: list[Agreement]
    audit: dict[str, tuple[int, int]]
    median_seconds: float | None


def review_status(
    tasks: Sequence[ReviewTask] | None,
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    rule: ConflictRule = "latest",
) -> ReviewStatus:
    """Summarize a review from all tasks of its project, None if not known, and all labels."""
    waiting = [task for task in tasks or () if not (task.done or task.skipped)]
    reviews = [label for label in current_labels(labels) if label.source == "review"]
    compared = {facet.name: _compare(reviews, facet.name) for facet in taxonomy.facets}
    times = [label.origin.lead_time for label in reviews if label.origin and label.origin.lead_time]
    audited = _audited_answers(labels, rule)
    return ReviewStatus(
        waiting=None if tasks is None else len(waiting),
        done=None if tasks is None else sum(task.done for task in tasks),
        skipped=None if tasks is None else sum(task.skipped and not task.done for task in tasks),
        queues=dict(Counter(task.queue or "made by hand" for task in waiting)),
        conflicts=find_conflicts(labels, rule),
        verdicts={facet.name: _verdicts(compared[facet.name], facet) for facet in taxonomy.facets},
        anchoring=[found for pair in compared.items() if (found := _anchoring(*pair))],
        agreement=measure_agreement(labels, taxonomy),
        audit={
            facet.name: (sum(agree), len(agree))
            for facet in taxonomy.facets
            if (agree := audited.get(facet.name))
        },
        median_seconds=median(times) if times else None,
    )


class _Answer(NamedTuple):
    """The tags of a paper in one facet, by a reviewer and by the model."""

    answered: frozenset[str]
    predicted: frozenset[str]
    shown: bool
    queue: str | None

    @property
    def agrees(self) -> bool:
        return self.answered == self.predicted


def _compare(reviews: Sequence[Label], facet: str) -> list[_Answer]:
    """Pair the answers to a facet with the model's predictions of it."""
    return [
        _Answer(
            frozenset(label.tags[facet]), frozenset(model.tags[facet]), model.shown, label.queue
        )
        for label in reviews
        if (model := label.prediction) and facet in label.tags and facet in model.tags
    ]


def _audited_answers(labels: Sequence[Label], rule: ConflictRule) -> dict[str, list[bool]]:
    """Return, per facet, whether each audited paper was predicted correctly when first sent.

    A later prediction of a paper may come from a version that was trained on it.
    """
    by_paper = labels_by_paper(labels)
    # Several papers may share an id.
    merged = {(one.id, one.title): name for name, own in by_paper.items() for one in own}
    first: dict[tuple[str, str], Sequence[str]] = {}
    for label in labels:
        for facet, tags in (label.prediction.tags if label.prediction else {}).items():
            first.setdefault((merged.get((label.id, label.title), label.id), facet), tags)
    agree: dict[str, list[bool]] = defaultdict(list)
    for label in merge_labels(labels, rule):
        for facet, tags in label.tags.items() if label.audited else ():
            if (sent := first.get((label.id, facet))) is not None:
                agree[facet].append({*tags} == {*sent})
    return agree


def _verdicts(answers: Sequence[_Answer], facet: Facet) -> dict[str, TagVerdicts]:
    given = Counter(tag for answer in answers for tag in answer.predicted)
    taken = Counter(tag for answer in answers for tag in answer.predicted - answer.answered)
    added = Counter(tag for answer in answers for tag in answer.answered - answer.predicted)
    return {tag: TagVerdicts(given[tag], taken[tag], added[tag]) for tag in facet.tag_names}


def _anchoring(facet: str, answers: Sequence[_Answer]) -> Anchoring | None:
    from scipy.stats import fisher_exact

    # Of the papers that a strategy chose, those without suggestions are a random part; an audit
    # has easier papers, a recheck has those on which the model disagrees with the label.
    unbiased = [answer for answer in answers if answer.queue not in BLIND_QUEUES]
    shown = [answer.agrees for answer in unbiased if answer.shown]
    blind = [answer.agrees for answer in unbiased if not answer.shown]
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
