"""How many papers came in, went to people, and came out changed, as in a PRISMA flow diagram.

Page et al., "The PRISMA 2020 statement" (2021): records found, duplicates removed, and what became
of the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date

from tagger.papers import number_papers
from tagger.report.papers import ReportedPaper
from tagger.report.results import ResultFolder


@dataclass(frozen=True, slots=True)
class Flow:
    """Counts of papers on their way.

    ``pages`` are the files that papers were found in, where files of one name in two result folders
    are two; ``found`` are entries in them. ``marked`` are papers that the latest run marked for
    review, ``reviewed`` those that a person answered, marked or chosen for another reason.
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
        """Entries that were merged into a paper found before."""
        return self.found - self.papers

    @property
    def unmarked(self) -> int:
        """Reviewed papers that the latest run did not mark: drawn by chance, or learned since."""
        return self.reviewed - (self.marked - self.waiting)

    @property
    def sure(self) -> int:
        """Papers that the model is sure of."""
        return self.papers - self.marked


def count_flow(papers: Sequence[ReportedPaper]) -> Flow:
    """Count the papers of a report."""
    status = Counter(paper.status for paper in papers)
    return Flow(
        pages=len({entry for paper in papers for entry in paper.entries}),
        found=sum(max(len(paper.entries), 1) for paper in papers),
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
    """One run in numbers: its papers that no earlier run had, those marked, those with each tag."""

    run: ResultFolder
    new: int
    marked: int
    tags: dict[str, Counter[str]]

    def share(self, facet: str, tag: str) -> float:
        """Share of the run's papers with a tag, 0 to 1."""
        return self.tags.get(facet, Counter())[tag] / len(self.run.papers)


def count_runs(folders: Sequence[ResultFolder]) -> list[RunCount]:
    """Count each run, oldest first."""
    runs = sorted(folders, key=lambda folder: folder.time)
    numbers = iter(number_papers(paper.paper for run in runs for paper in run.papers).tolist())
    seen: set[int] = set()
    counts = []
    for run in runs:
        own = {next(numbers) for _ in run.papers}
        tags: dict[str, Counter[str]] = {}
        for paper in run.papers:
            for facet, given in paper.tags.items():
                tags.setdefault(facet, Counter()).update(given)
        marked = sum(paper.review is not None for paper in run.papers)
        counts.append(RunCount(run, len(own - seen), marked, tags))
        seen |= own
    return counts


@dataclass(frozen=True, slots=True)
class DayCount:
    """Papers whose last answer was given on a day, and how many of them were corrected."""

    day: date
    reviewed: int
    corrected: int


def count_days(papers: Sequence[ReportedPaper]) -> list[DayCount]:
    """Count reviewed papers by day in UTC, days without any left out."""
    answers = [paper.answer for paper in papers if paper.answer]
    days = [(answer.time.astimezone(UTC).date(), answer.status) for answer in answers]
    reviewed = Counter(day for day, _ in days)
    corrected = Counter(day for day, status in days if status == "corrected")
    return [DayCount(day, reviewed[day], corrected[day]) for day in sorted(reviewed)]
