"""The papers of a report: tags of the latest run, and answers of reviewers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from tagger.labels import (
    ConflictRule,
    Label,
    Origin,
    current_labels,
    find_conflicts,
    merge_labels,
    non_paper_ids,
)
from tagger.model import Explanation
from tagger.papers import NearDuplicate, Paper, TaggedPaper, number_papers
from tagger.report.results import ResultFolder

Tags = Mapping[str, tuple[str, ...]]
Status = Literal[
    "not marked", "waiting", "confirmed", "corrected", "not a paper", "cannot tell", "disputed"
]


@dataclass(frozen=True, slots=True)
class Answer:
    """The reviewers' answer to a paper; ``time`` and ``origin`` are those of the last one.

    ``tags`` holds the settled tags of each annotated facet. ``before`` holds the model's tags at
    the time of review, or those of the latest run if they were not recorded.
    """

    status: Status
    tags: Tags
    before: Tags
    annotators: tuple[str, ...]
    time: datetime
    notes: tuple[str, ...]
    origin: Origin | None

    @property
    def changed(self) -> tuple[str, ...]:
        """Facets in which the reviewers' tags differ from the model's."""
        return tuple(
            facet
            for facet, tags in self.tags.items()
            if facet in self.before and set(tags) != set(self.before[facet])
        )


@dataclass(frozen=True, slots=True)
class ReportedPaper:
    """One paper of the report, as the latest run tagged it.

    ``ids`` are its ids in all runs, ``runs`` the result folders and ``entries`` the pairs of result
    folder and source file, earliest first.
    """

    tagged: TaggedPaper
    ids: tuple[str, ...]
    entries: tuple[tuple[str, str], ...]
    runs: tuple[str, ...]
    abstract: str = ""
    answer: Answer | None = None
    explanation: Explanation | None = None

    @property
    def pages(self) -> tuple[str, ...]:
        """Names of its source files, earliest first."""
        return tuple(dict.fromkeys(page for _, page in self.entries))

    @property
    def tags(self) -> Tags:
        """Tags per facet: the reviewers' if they annotated it, else the model's.

        An entry that is not a paper has no tags.
        """
        if self.status == "not a paper":
            return dict.fromkeys(self.tagged.tags, ())
        return {**self.tagged.tags, **(self.answer.tags if self.answer else {})}

    @property
    def status(self) -> Status:
        """Review status: the reviewers' answer, else whether the model marked it for review."""
        if self.answer:
            return self.answer.status
        return "waiting" if self.tagged.review else "not marked"


def gather_papers(
    folders: Sequence[ResultFolder],
    labels: Sequence[Label] = (),
    conflicts: ConflictRule = "latest",
    digest: Sequence[Paper] = (),
    explanations: Mapping[str, Explanation] | None = None,
) -> list[ReportedPaper]:
    """Merge runs, labels and digest papers into one entry per paper, in the order first found.

    If a paper is in several runs, the latest one counts. Only labels from review are answers.
    Abstracts come from ``digest`` or from labels. ``explanations`` has the ids of ``digest``.
    """
    tagged = [
        (folder, paper)
        for folder in sorted(folders, key=lambda folder: folder.time)
        for paper in folder.papers
    ]
    entries = [paper.paper for _, paper in tagged]
    numbers = number_papers([*entries, *(label.paper for label in labels), *digest]).tolist()
    by_paper: dict[int, list[tuple[ResultFolder, TaggedPaper]]] = {}
    for number, entry in zip(numbers, tagged, strict=False):
        by_paper.setdefault(number, []).append(entry)
    paper_labels: dict[int, list[Label]] = {}
    abstracts: dict[int, str] = {}
    for number, label in zip(numbers[len(tagged) :], labels, strict=False):
        paper_labels.setdefault(number, []).append(label)
        # A label that withdraws an earlier one has no text.
        abstracts[number] = label.text or abstracts.get(number, "")
    explained: dict[int, Explanation] = {}
    for number, paper in zip(numbers[len(tagged) + len(labels) :], digest, strict=True):
        abstracts[number] = paper.abstract or abstracts.get(number, "")
        if explanations and paper.id in explanations:
            explained[number] = explanations[paper.id]
    return [
        ReportedPaper(
            own[-1][1],
            tuple(dict.fromkeys(paper.id for _, paper in own)),
            tuple(dict.fromkeys((run.name, page) for run, one in own for page in one.sources)),
            tuple(dict.fromkeys(run.name for run, _ in own)),
            abstracts.get(number, ""),
            _answer(own[-1][1], paper_labels.get(number, ()), conflicts),
            explained.get(number),
        )
        for number, own in by_paper.items()
    ]


def gather_near_duplicates(folders: Iterable[ResultFolder]) -> list[NearDuplicate]:
    """Return each pair of near duplicates once, most similar first."""
    pairs = {tuple(sorted(pair.ids)): pair for folder in folders for pair in folder.near_duplicates}
    return sorted(pairs.values(), key=lambda pair: (-pair.similarity, pair.ids))


def _answer(tagged: TaggedPaper, labels: Sequence[Label], conflicts: ConflictRule) -> Answer | None:
    """Return the reviewers' answer to a paper, or None if no valid answer is left."""
    # Labels of one paper may have different ids; conflicts are found by id.
    reviews = [
        label.model_copy(update={"id": tagged.id})
        for label in current_labels(labels)
        if label.source == "review"
    ]
    history = sorted(reviews, key=lambda label: label.time)
    if not history:
        return None
    settled = {
        facet: tags
        for label in merge_labels(reviews, conflicts)
        for facet, tags in label.tags.items()
    }
    status: Status = "confirmed"
    if any(not conflict.settled for conflict in find_conflicts(reviews, conflicts)):
        status = "disputed"
    elif all(label.outcome == "cannot-tell" for label in history):
        status = "cannot tell"
    elif non_paper_ids(reviews, conflicts):
        status = "not a paper"
    elif not settled:
        # All tags of the answer were retired: the paper needs a new review.
        return None
    predictions = [label.prediction for label in history if label.prediction]
    last = history[-1]
    answer = Answer(
        status,
        settled,
        predictions[-1].tags if predictions else tagged.tags,
        tuple(reversed(dict.fromkeys(label.annotator for label in reversed(history)))),
        last.time,
        tuple(label.note for label in history if label.note),
        last.origin,
    )
    changed = status == "confirmed" and answer.changed
    return replace(answer, status="corrected") if changed else answer
