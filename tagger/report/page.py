"""Render the report as one self-contained HTML page."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tagger._util.rendering import content_policy, render
from tagger.evaluation import METRICS, UNKNOWN
from tagger.model import most_influential
from tagger.papers import REPORT_TITLE, NearDuplicate, group_near_duplicates
from tagger.report.flow import Flow, count_days, count_flow, count_runs, count_tags
from tagger.report.library import Week
from tagger.report.papers import ReportedPaper
from tagger.report.results import ResultFolder
from tagger.tagging import facet_columns
from tagger.taxonomy import Taxonomy

if TYPE_CHECKING:
    # Imported for types only: a report without figures does not need MLflow.
    from tagger.report.figures import ModelFigures


@dataclass(frozen=True, slots=True)
class ReportedFacet:
    """Number of papers with each tag of a facet, most frequent first, and without a tag."""

    name: str
    tags: dict[str, int]
    untagged: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part that is missing from the report, and the reason."""

    part: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Content of the page; ``task_addresses`` maps paper ids to tasks in Label Studio.

    ``week`` is the last week of a library, None for result folders.
    """

    created: datetime
    folders: tuple[ResultFolder, ...]
    papers: tuple[ReportedPaper, ...]
    near_duplicates: tuple[NearDuplicate, ...]
    taxonomy: Taxonomy | None
    figures: ModelFigures | None
    task_addresses: dict[str, str]
    left_out: tuple[LeftOut, ...]
    week: Week | None = None

    @property
    def flow(self) -> Flow:
        """Counts of papers found, tagged, reviewed and corrected."""
        return count_flow(self.papers, self.folders)

    @property
    def facets(self) -> list[ReportedFacet]:
        """Tag counts per facet over all papers."""
        return [
            ReportedFacet(
                name,
                dict(tags.most_common()),
                sum(not paper.tags.get(name) for paper in self.papers),
            )
            for name, tags in count_tags(self.papers).items()
        ]

    @property
    def models(self) -> Counter[str]:
        """Number of papers tagged by each model."""
        return Counter(paper.tagged.model for paper in self.papers)

    @property
    def taxonomies(self) -> tuple[str, ...]:
        """Taxonomy versions of the tags."""
        return tuple(dict.fromkeys(paper.tagged.taxonomy for paper in self.papers))

    @property
    def waiting(self) -> list[ReportedPaper]:
        """Papers that wait for review, lowest confidence first."""
        waiting = [paper for paper in self.papers if paper.status == "waiting"]
        return sorted(waiting, key=lambda paper: paper.tagged.paper_confidence)

    def as_dict(self) -> dict[str, Any]:
        """Return the counts of the report as JSON data; the papers are in ``tags.jsonl``."""
        flow = self.flow
        return {
            "created": self.created.isoformat(timespec="seconds"),
            "folders": [folder.name for folder in self.folders],
            "models": dict(self.models),
            "flow": {**asdict(flow), "duplicates": flow.duplicates, "not_marked": flow.not_marked},
            "counts": {facet.name: facet.tags for facet in self.facets},
            "week": self.week and asdict(self.week),
            "near_duplicates": len(self.near_duplicates),
            "abstracts": sum(bool(paper.abstract) for paper in self.papers),
            "explained": sum(paper.explanation is not None for paper in self.papers),
            "figures_of": self.figures and self.figures.version.name,
            "unmarked_and_audited": self.figures and self.figures.unmarked,
            "left_out": [asdict(part) for part in self.left_out],
        }


def report_page(report: Report, naming: str = "") -> str:
    """Return the report as HTML; its content security policy allows only its style and script."""
    style, script = render("report/page.css"), render("report/page.js")
    facets, known = report.facets, report.taxonomy.facets if report.taxonomy else ()
    return render(
        "report/page.html",
        report=report,
        report_title=REPORT_TITLE,
        policy=content_policy(style, script),
        style=style,
        script=script,
        most_influential=most_influential,
        moment=datetime.fromisoformat,
        quote=shlex.quote,
        naming=naming,
        anchors={
            name: f"paper-{n}"
            for n, paper in enumerate(report.papers, start=1)
            for name in paper.ids
        },
        facets=facets,
        columns=facet_columns([facet.name for facet in facets], ("title", "doi", "abstract")),
        look_alikes=group_near_duplicates(report.near_duplicates),
        definitions={facet.name: facet.definition for facet in known}
        | {f"{facet.name}/{tag.name}": tag.hint for facet in known for tag in facet.tags},
        runs=count_runs(report.folders),
        days=count_days(report.papers),
        metrics=METRICS,
        unknown=UNKNOWN,
        statuses=Counter(paper.status for paper in report.papers),
        pages=Counter(page for paper in report.papers for page in paper.pages),
        folders=Counter(run for paper in report.papers for run in paper.runs),
        # Values of the filters, in the order of their checkbox groups.
        values=lambda paper: [
            *(paper.tags.get(facet.name, ()) for facet in facets),
            (paper.status,),
            paper.pages,
            paper.runs,
        ],
    )
