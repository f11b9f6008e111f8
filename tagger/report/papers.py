"""The papers of a report: what the latest run says of each, and what people said since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from tagger.labels import (
    ConflictRule,
    Label,
    Origin,
    find_conflicts,
    merge_labels,
    settled_as_no_paper,
    standing_labels,
)
from tagger.model import Explanation
from tagger.papers import NearDuplicate, Paper, TaggedPaper, number_papers
from tagger.report.results import ResultFolder

Tags = Mapping[str, tuple[str, ...]]
Status = Literal[
    "sure", "waiting", "confirmed", "corrected", "not a paper", "cannot tell", "disputed"
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What reviewers made of a paper; ``time`` and ``origin`` are of the last answer.

    ``tags`` are those that count, per facet that was annotated and settled; ``before`` those that
    the model had given, or gives now if that is not known.
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
    """One paper of the report, as the latest run tagged it.

    ``ids`` are what the runs call it, ``entries`` result folder and name of each file that it stood
    in, ``runs`` the result folders, earlier ones first.
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
        """Names of the files that it stood in, earlier ones first."""
        return tuple(dict.fromkeys(page for _, page in self.entries))

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
    pages: Sequence[Paper] = (),
    explanations: Mapping[str, Explanation] | None = None,
) -> list[ReportedPaper]:
    """Return what is known of each paper, in the order in which they were first found.

    Where a paper is in several runs, the later one counts. Of all labels of a label folder, those
    from review count; an abstract is known from ``pages`` or from a label. Explanations are by the
    ids of ``pages``.
    """
    rows = [
        (folder, tagged)
        for folder in sorted(folders, key=lambda folder: folder.time)
        for tagged in folder.papers
    ]
    entries = [tagged.paper for _, tagged in rows]
    numbers = number_papers([*entries, *(label.paper for label in labels), *pages]).tolist()
    found: dict[int, list[tuple[ResultFolder, TaggedPaper]]] = {}
    for number, row in zip(numbers, rows, strict=False):
        found.setdefault(number, []).append(row)
    said: dict[int, list[Label]] = {}
    for number, label in zip(numbers[len(rows) :], labels, strict=False):
        said.setdefault(number, []).append(label)
    # A line that takes an answer back has no text.
    abstracts = {
        number: label.text for number, spoken in said.items() for label in spoken if label.text
    }
    why: dict[int, Explanation] = {}
    for number, page in zip(numbers[len(rows) + len(labels) :], pages, strict=True):
        abstracts[number] = page.abstract or abstracts.get(number, "")
        if explanations and page.id in explanations:
            why[number] = explanations[page.id]
    return [
        ReportedPaper(
            own[-1][1],
            tuple(dict.fromkeys(tagged.id for _, tagged in own)),
            tuple(dict.fromkeys((run.name, page) for run, one in own for page in one.sources)),
            tuple(dict.fromkeys(run.name for run, _ in own)),
            abstracts.get(number, ""),
            _answer(own[-1][1], said.get(number, ()), conflicts),
            why.get(number),
        )
        for number, own in found.items()
    ]


def gather_near_duplicates(folders: Iterable[ResultFolder]) -> list[NearDuplicate]:
    """Return each pair once, most alike first."""
    pairs = {tuple(sorted(pair.ids)): pair for folder in folders for pair in folder.near_duplicates}
    return sorted(pairs.values(), key=lambda pair: (-pair.similarity, pair.ids))


def task_address(origin: Origin, projects: Iterable[str], server: str) -> str | None:
    """Return the address of an answer's task on a Label Studio server, if that is sure.

    It is not if two of ``projects``, those of all labels, have one number: one of them stood on
    another server, and nothing says which.
    """
    number, _, _ = origin.project.partition("/")
    if sum(project.partition("/")[0] == number for project in projects) != 1:
        return None
    return f"{server.rstrip('/')}/projects/{number}/data?task={origin.task}"


def _answer(tagged: TaggedPaper, labels: Sequence[Label], conflicts: ConflictRule) -> Answer | None:
    """Return what reviewers made of a paper; None if they said nothing that still counts."""
    # What is one paper here is one to all that ask, whatever its labels call it.
    one = [label.model_copy(update={"id": tagged.id}) for label in standing_labels(labels)]
    reviews = [label for label in one if label.source == "review"]
    history = sorted(reviews, key=lambda label: label.time)
    if not history:
        return None
    settled = {
        facet: tags for one in merge_labels(reviews, conflicts) for facet, tags in one.tags.items()
    }
    status: Status = "confirmed"
    if any(not conflict.settled for conflict in find_conflicts(reviews, conflicts)):
        status = "disputed"
    elif all(label.outcome == "cannot-tell" for label in history):
        status = "cannot tell"
    elif settled_as_no_paper(reviews, conflicts):
        status = "not a paper"
    elif not settled:
        # All that they gave was retired, and is to be looked at again.
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
