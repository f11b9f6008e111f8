"""Count papers found, tagged, reviewed and corrected, as in a PRISMA flow diagram.

Page et al., "The PRISMA 2020 statement" (2021).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date

from tagger.papers import TaggedPaper, number_papers
from tagger.report.papers import ReportedPaper
from tagger.report.results import ResultFolder


@dataclass(frozen=True, slots=True)
class Flow:
    """Counts of papers at each step.

    ``pages`` counts the files that papers were found in; the same file name in two result folders
    counts twice. ``found`` counts their entries, before duplicates are merged. ``marked`` counts
    papers that the latest run marked for review, ``reviewed`` papers that a person answered,
    whether marked or not.
    """

    pages: int
    found: int
    papers: int
    marked: int
    waiting: int
    reviewed: int
    confirmed: int
    corrected: int
    not_papers: int
    cannot_tell: int
    disputed: int

    @property
    def duplicates(self) -> int:
        """Entries that were merged into an earlier entry of the same paper."""
        return self.found - self.papers

    @property
    def unmarked(self) -> int:
        """Reviewed papers that the latest run did not mark for review."""
        return self.reviewed - (self.marked - self.waiting)

    @property
    def not_marked(self) -> int:
        """Papers that the latest run did not mark for review."""
        return self.papers - self.marked


def count_flow(papers: Sequence[ReportedPaper], folders: Iterable[ResultFolder] = ()) -> Flow:
    """Count the papers of a report, which are those of some result folders."""
    status = Counter(paper.status for paper in papers)
    return Flow(
        pages=len({entry for paper in papers for entry in paper.entries}),
        found=sum(max(len(paper.entries), 1) for paper in papers)
        + sum(folder.repeats for folder in folders),
        papers=len(papers),
        marked=sum(paper.tagged.review is not None for paper in papers),
        waiting=status["waiting"],
        reviewed=sum(paper.answer is not None for paper in papers),
        confirmed=status["confirmed"],
        corrected=status["corrected"],
        not_papers=status["not a paper"],
        cannot_tell=status["cannot tell"],
        disputed=status["disputed"],
    )


@dataclass(frozen=True, slots=True)
class RunCount:
    """Counts of one run: papers new in it, papers marked for review, papers with each tag."""

    run: ResultFolder
    new: int
    marked: int
    tags: dict[str, Counter[str]]

    def share(self, facet: str, tag: str) -> float:
        """Share of the run's papers with a tag, 0 to 1."""
        return self.tags.get(facet, Counter())[tag] / len(self.run.papers)


def count_runs(folders: Sequence[ResultFolder]) -> list[RunCount]:
    """Count the papers of each run, oldest run first."""
    runs = sorted(folders, key=lambda folder: folder.time)
    numbers = iter(number_papers(paper.paper for run in runs for paper in run.papers).tolist())
    earlier: set[int] = set()
    counts = []
    for run in runs:
        own = {next(numbers) for _ in run.papers}
        marked = sum(paper.review is not None for paper in run.papers)
        counts.append(RunCount(run, len(own - earlier), marked, count_tags(run.papers)))
        earlier |= own
    return counts


def count_tags(papers: Iterable[TaggedPaper | ReportedPaper]) -> dict[str, Counter[str]]:
    """Return the number of papers with each tag, per facet."""
    counts: dict[str, Counter[str]] = {}
    for paper in papers:
        for facet, tags in paper.tags.items():
            counts.setdefault(facet, Counter()).update(tags)
    return counts


@dataclass(frozen=True, slots=True)
class DayCount:
    """Number of papers last reviewed on a day, and of those that were corrected."""

    day: date
    reviewed: int
    corrected: int


def count_days(papers: Sequence[ReportedPaper]) -> list[DayCount]:
    """Count reviewed papers per day in UTC, without empty days."""
    answers = [paper.answer for paper in papers if paper.answer]
    days = [(answer.time.astimezone(UTC).date(), answer.status) for answer in answers]
    reviewed = Counter(day for day, _ in days)
    corrected = Counter(day for day, status in days if status == "corrected")
    return [DayCount(day, reviewed[day], corrected[day]) for day in sorted(reviewed)]
