"""The papers of a report: what the latest run says of each, and what people said since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from tagger.explanation import Explanation
from tagger.labels import (
    ConflictRule,
    Label,
    Origin,
    find_conflicts,
    merge_labels,
    standing_labels,
)
from tagger.report.results import NearDuplicatePair, ResultFolder, TaggedPaper

Tags = Mapping[str, tuple[str, ...]]
Status = Literal[
    "sure", "waiting", "confirmed", "corrected", "not a paper", "cannot tell", "disputed"
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What reviewers made of a paper.

    Parameters
    ----------
    status:
        What came of it.
    tags:
        Per facet that was judged and settled, the tags that count.
    before:
        What the model had said to them, or says now if that is not known.
    annotators:
        Who answered, in the order of their last answers.
    time:
        Of the last answer.
    notes:
        What they wrote.
    origin:
        Where the last answer was given, if in Label Studio.
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
        """Facets in which people say something other than the model had said."""
        return tuple(
            facet
            for facet, tags in self.tags.items()
            if facet in self.before and set(tags) != set(self.before[facet])
        )


@dataclass(frozen=True, slots=True)
class ReportedPaper:
    """One paper of the report.

    Parameters
    ----------
    tagged:
        What the latest run says.
    pages, runs:
        Files that it stood in and result folders that it is in, earlier ones first.
    abstract:
        Empty if no file was given that holds it.
    answer:
        What people said; None if nobody looked at it.
    explanation:
        Why it has its tags, if that was asked for.
    """

    tagged: TaggedPaper
    pages: tuple[str, ...]
    runs: tuple[str, ...]
    abstract: str = ""
    answer: Answer | None = None
    explanation: Explanation | None = None

    @property
    def tags(self) -> Tags:
        """The tags in effect: a person's where one judged the facet, else the model's.

        What is no paper has none.
        """
        if self.status == "not a paper":
            return dict.fromkeys(self.tagged.tags, ())
        return {**self.tagged.tags, **(self.answer.tags if self.answer else {})}

    @property
    def status(self) -> Status:
        """Where the paper stands between model and people."""
        if self.answer:
            return self.answer.status
        return "waiting" if self.tagged.review else "sure"


def gather_papers(
    folders: Sequence[ResultFolder],
    labels: Sequence[Label] = (),
    conflicts: ConflictRule = "latest",
    abstracts: Mapping[str, str] | None = None,
    explanations: Mapping[str, Explanation] | None = None,
) -> list[ReportedPaper]:
    """Bring together what is known of each paper, in the order in which they were first found.

    Parameters
    ----------
    folders:
        The runs; where a paper is in several, the later one counts.
    labels:
        All labels of a label folder; those from review count, of the papers that were tagged.
    conflicts:
        What settles differences of reviewers.
    abstracts, explanations:
        By id of the paper. A reviewed paper's abstract is known from its label.
    """
    answers = _answers(labels, conflicts)
    # A line that takes an answer back has no text.
    known = {label.id: label.text for label in labels if label.text} | dict(abstracts or {})
    latest: dict[str, TaggedPaper] = {}
    pages: dict[str, list[str]] = {}
    runs: dict[str, list[str]] = {}
    for folder in sorted(folders, key=lambda folder: folder.time):
        for tagged in folder.papers:
            latest[tagged.id] = tagged
            pages.setdefault(tagged.id, []).extend(tagged.sources)
            runs.setdefault(tagged.id, []).append(folder.name)
    return [
        ReportedPaper(
            tagged,
            tuple(dict.fromkeys(pages[name])),
            tuple(dict.fromkeys(runs[name])),
            known.get(name, ""),
            _answer(tagged, *answers[name]) if name in answers else None,
            (explanations or {}).get(name),
        )
        for name, tagged in latest.items()
    ]


def gather_near_duplicates(folders: Iterable[ResultFolder]) -> list[NearDuplicatePair]:
    """Return each pair once, most alike first."""
    pairs = {tuple(sorted(pair.ids)): pair for folder in folders for pair in folder.near_duplicates}
    return sorted(pairs.values(), key=lambda pair: (-pair.similarity, pair.ids))


def task_address(origin: Origin, labels: Iterable[Label], server: str) -> str | None:
    """Return where the task of an answer is to be seen, if that is sure.

    It is not where the labels tell of two projects of that number: one of them stood on another
    server, and nothing says which.

    Parameters
    ----------
    origin:
        Where the answer was given.
    labels:
        All labels.
    server:
        Address of Label Studio.
    """
    number, _, _ = origin.project.partition("/")
    projects = {label.origin.project for label in labels if label.origin}
    if sum(project.partition("/")[0] == number for project in projects) != 1:
        return None
    return f"{server.rstrip('/')}/projects/{number}/data?task={origin.task}"


def _answers(
    labels: Sequence[Label], conflicts: ConflictRule
) -> dict[str, tuple[Status, Tags, list[Label]]]:
    """Return, per paper that was reviewed, what came of it, what counts, and all answers."""
    reviews = [label for label in standing_labels(labels) if label.source == "review"]
    said: dict[str, list[Label]] = {}
    for label in sorted(reviews, key=lambda label: label.time):
        said.setdefault(label.id, []).append(label)
    settled = {label.id: label.tags for label in merge_labels(reviews, conflicts)}
    found = find_conflicts(reviews, conflicts)
    disputed = {conflict.id for conflict in found if not conflict.settled}
    answers: dict[str, tuple[Status, Tags, list[Label]]] = {}
    for name, history in said.items():
        status: Status = "confirmed"
        if name in disputed:
            status = "disputed"
        elif all(label.outcome == "cannot-tell" for label in history):
            status = "cannot tell"
        elif name not in settled:
            status = "not a paper"
        answers[name] = status, settled.get(name, {}), history
    return answers


def _answer(tagged: TaggedPaper, status: Status, tags: Tags, history: Sequence[Label]) -> Answer:
    predictions = [label.prediction for label in history if label.prediction]
    last = history[-1]
    answer = Answer(
        status,
        tags,
        predictions[-1].tags if predictions else tagged.tags,
        tuple(reversed(dict.fromkeys(label.annotator for label in reversed(history)))),
        last.time,
        tuple(label.note for label in history if label.note),
        last.origin,
    )
    changed = status == "confirmed" and answer.changed
    return replace(answer, status="corrected") if changed else answer
