"""Hold the papers of a review on this machine, and save the answers to them.

Each answer becomes a line of ``corrections.jsonl`` at once, the same line that a pull from Label
Studio would write.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from statistics import median
from threading import RLock
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from tagger.errors import TaggerError
from tagger.labels import Label, LabelStore, current_labels
from tagger.papers import paper_id
from tagger.review.interface import NOTE, VERDICT
from tagger.review.project import ReviewTask
from tagger.review.pull import date_after, withdrawal
from tagger.review.selection import ChosenPaper
from tagger.review.tasks import make_result, make_task, read_label, read_meta
from tagger.taxonomy import Taxonomy

HERE = "here"
"""The project in the origin of these corrections."""


class Answer(BaseModel):
    """An answer to the paper of a number: tags of each answered facet, or a verdict; a note.

    ``seconds`` is the time that it took.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    tags: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    verdict: Literal["not a paper", "cannot tell"] | None = None
    note: str = ""
    seconds: FiniteFloat


class ReviewDesk:
    """The papers of a session, and which of them are answered; safe to use from several threads.

    Papers have numbers from 1. Those of the audit sample are spread over the others, so that their
    share holds whenever the session ends. ``drafts`` are answers that were taken back.
    """

    def __init__(self, chosen: Sequence[ChosenPaper], store: LabelStore, annotator: str) -> None:
        self.papers = dict(enumerate(_spread(chosen), start=1))
        self.taxonomy: Taxonomy = store.taxonomy
        self.drafts: dict[int, Label] = {}
        self._store, self._annotator = store, annotator
        self._answers: dict[int, Label] = {}
        self._open = deque(self.papers)
        self._past: list[int] = []
        """Answered and skipped papers, the last one last."""
        self._lock = RLock()

    def upcoming(self, count: int) -> list[int]:
        """Return the numbers of the papers to answer next, at most ``count``."""
        with self._lock:
            return [*islice(self._open, count)]

    @property
    def done(self) -> int:
        """The number of answered papers."""
        return len(self._answers)

    @property
    def audited(self) -> tuple[datetime, ...]:
        """The times of the answers to papers of the audit sample."""
        with self._lock:
            return tuple(label.time for label in self._answers.values() if label.audited)

    def answer(self, answer: Answer) -> bool:
        """Save an answer; return False, and save nothing, if the paper has one already.

        It may be from another window, or from another process with the same label folder. Raises a
        KeyError for an unknown number, and a TaggerError if the tags do not fit the taxonomy, those
        of a facet were changed since the session began, or the file cannot be written.
        """
        with self._lock:
            if answer.number in self._answers:
                return False
            label = self._label_of(answer)
            added = self._store.add_corrections(lambda labels: self._new(label, labels))
            self._open.remove(answer.number)
            self._answers[answer.number] = label
            # The answer of another process is not taken back here.
            self._past = [one for one in self._past if added or one != answer.number]
            self._past += [answer.number] * len(added)
            return bool(added)

    def skip(self, number: int) -> bool:
        """Put a paper behind the others; return False if it is not the next one any more."""
        with self._lock:
            if self.upcoming(1) != [number]:
                return False
            self._open.rotate(-1)
            self._past.append(number)
            return True

    def undo(self) -> bool:
        """Take the last answer back and show its paper next; return False if there is none."""
        with self._lock:
            if not self._past:
                return False
            number = self._past[-1]
            if label := self._answers.get(number):
                self._store.add_corrections(lambda _: [withdrawal(label)])
                self.drafts[number] = self._answers.pop(number)
            else:
                self._open.remove(number)
            self._past.pop()
            self._open.appendleft(number)
            return True

    def summary(self) -> dict[str, Any]:
        """Return the counts of answers, papers and audited papers, and the median seconds."""
        with self._lock:
            labels = [*self._answers.values()]
            times = [one.origin.lead_time for one in labels if one.origin and one.origin.lead_time]
            return {
                "answered": self.done,
                "papers": len(self.papers),
                "audit": len(self.audited),
                "median_seconds": median(times) if times else None,
            }

    def _label_of(self, answer: Answer) -> Label:
        """Return the label, read in the same way as an annotation of Label Studio."""
        paper, decision, queue, reason, shown = self.papers[answer.number]
        self.taxonomy.check_tags(answer.tags)
        texts = {VERDICT: answer.verdict or "", NOTE: answer.note.strip()}
        annotation = {
            # The same for the same paper, so that it never counts twice; chapters may share an id.
            "unique_id": "/".join(
                (HERE, self._annotator, queue, *dict.fromkeys((paper.id, paper_id(paper.title))))
            ),
            "updated_at": datetime.now(UTC),
            "lead_time": answer.seconds,
            "result": [
                *make_result(answer.tags, self.taxonomy),
                *(
                    {"from_name": name, "value": {"text": [text]}}
                    for name, text in texts.items()
                    if text
                ),
            ],
        }
        task = make_task(paper, decision, self.taxonomy, queue, reason, shown=shown)
        task["id"] = answer.number
        return read_label(task, annotation, self._annotator, self.taxonomy, HERE)

    def _new(self, label: Label, labels: list[Label]) -> list[Label]:
        """Return the label unless it is recorded; raise a TaggerError if the tags changed."""
        # Adding corrections has read the taxonomy again. A new facet is not annotated, no more.
        now = {facet.name: facet.tag_names for facet in self._store.taxonomy.facets}
        for facet in self.taxonomy.facets:
            if now.get(facet.name) != facet.tag_names:
                raise TaggerError(
                    f"not saved: the tags of {facet.name} have changed since this review began",
                    hint="Start 'tagger review here' again; the answers before this one are saved",
                )
        return _unless_answered(label, labels)


def tasks_here(labels: Iterable[Label]) -> list[ReviewTask]:
    """Return a task that is done for each answer that was given with ``tagger review here``."""
    return [
        ReviewTask(
            id=label.origin.task,
            paper=label.paper,
            data={},
            meta=read_meta(
                {"model": "", "tags": {}, "shown": True, "queue": label.queue, "facets": ()}
            ),
            done=True,
            skipped=False,
        )
        for label in current_labels(labels)
        if label.origin and label.origin.project == HERE
    ]


def _spread(chosen: Sequence[ChosenPaper]) -> list[ChosenPaper]:
    """Spread the papers of the audit sample evenly over the others; keep both orders."""
    groups = [[one for one in chosen if (one.queue == "audit") is audit] for audit in (False, True)]
    placed = [
        ((place + 0.5) / len(group), one) for group in groups for place, one in enumerate(group)
    ]
    return [one for _, one in sorted(placed, key=lambda each: each[0])]


def _unless_answered(label: Label, labels: list[Label]) -> list[Label]:
    """Return the label, dated after the earlier ones; none if it has been recorded."""
    own = [one for one in labels if one.origin and one.origin.project == HERE]
    work = paper_id(label.title)
    answers = current_labels(one for one in own if paper_id(one.title) == work)
    recorded = {one.origin.annotation for one in answers if one.origin}
    name = label.origin.annotation if label.origin else ""
    # Earlier versions named an answer without the id of the title.
    if recorded & {name, name.removesuffix(f"/{work}")}:
        return []
    return date_after([label], own)
