"""Build a report from result folders, labels, digests and MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError
from tagger.labels import ConflictRule, Label, LabelStore
from tagger.model import Explanation, explain
from tagger.papers import KnownPapers, Paper
from tagger.registry import Registry, find_shipped_model, is_shipped_name, load_model_by_name
from tagger.report.library import last_week, read_weeks
from tagger.report.page import LeftOut, Report
from tagger.report.papers import ReportedPaper, gather_near_duplicates, gather_papers
from tagger.report.results import ResultFolder, read_result_folder, translate_results

if TYPE_CHECKING:
    from tagger.report.figures import ModelFigures

_WEEKS_COUNTED = 13
"""Number of weeks of a library in the tables of counts."""


def build_report(
    folders: Sequence[Path],
    labels: Path | None,
    digest: Sequence[Paper] = (),
    *,
    model: str | None = None,
    evidence: bool = False,
    abstracts: bool = True,
    weeks: int = 1,
    conflicts: ConflictRule = "latest",
    label_studio: str | None = None,
    progress: Progress = no_progress,
) -> Report:
    """Build a report; ``left_out`` names each missing part with the reason.

    ``folders`` are result folders, or one library, of which the papers of the last ``weeks`` are
    shown. Of a paper in several result folders, the latest run counts. ``labels`` is a folder with
    reviews, ``label_studio`` the server that they came from, to link its tasks. ``digest`` has more
    papers with abstracts. With ``evidence``, influential sentences explain the tags of papers with
    an abstract. ``model``, whose figures are shown, is by default that which tagged most papers.

    Raises a TaggerError if a folder cannot be read or ``model`` does not exist.
    """
    library = folders[0] if len(folders) == 1 and folders[0].is_file() else None
    store = LabelStore(labels) if labels else None
    left_out = [] if store else [LeftOut("reviews", "found no label folder")]
    results = _read_results(folders, library, store)
    name = model or Counter(p.model for one in results for p in one.papers).most_common(1)[0][0]
    figures = None
    try:
        figures = _read_figures(name)
    except TaggerError as error:
        if model and not _is_unregistered(model):
            raise
        left_out.append(LeftOut(f"figures of {name}", error.problem))
    shown = results[-weeks:] if library else results
    digest = _papers_with_abstract(shown, digest)
    labelled = store.all_labels() if store else []
    explanations = _explain(digest, name, progress) if evidence else {}
    papers = gather_papers(results, labelled, conflicts, digest, explanations)
    week = last_week(library, results, papers) if library else None
    names = {result.name for result in shown}
    papers = [paper for paper in papers if names.intersection(paper.runs)]
    if not abstracts:
        papers = [replace(paper, abstract="") for paper in papers]
        left_out.append(LeftOut("abstracts", "--no-abstracts was given"))
    elif missing := sum(not paper.abstract for paper in papers):
        reason = f"those of {missing} of {len(papers)} papers are not kept; --digest adds them"
        left_out.append(LeftOut("abstracts", reason))
    return Report(
        created=datetime.now(UTC),
        folders=tuple(results[-_WEEKS_COUNTED:] if week else results),
        papers=tuple(papers),
        near_duplicates=tuple(gather_near_duplicates(shown)),
        taxonomy=store.taxonomy if store else None,
        figures=figures,
        task_addresses=_task_addresses(papers, labelled, label_studio) if label_studio else {},
        left_out=tuple(left_out),
        week=week,
    )


def _read_results(
    folders: Sequence[Path], library: Path | None, store: LabelStore | None
) -> list[ResultFolder]:
    """Read the results of runs, or of the weeks of a library, in the taxonomy of the labels."""
    if library:
        results = read_weeks(library)
    else:
        results = [read_result_folder(folder) for folder in dict.fromkeys(folders)]
    return [translate_results(one, store.taxonomy) for one in results] if store else results


def _papers_with_abstract(results: Sequence[ResultFolder], digest: Iterable[Paper]) -> list[Paper]:
    """Return the papers of results with an abstract, which is kept there or in ``digest``."""
    known = KnownPapers(paper.paper for result in results for paper in result.papers)
    kept = {paper.id: paper for result in results for paper in result.papers_with_abstract}
    return [*kept.values(), *(one for one in digest if one.id not in kept and one in known)]


def _is_unregistered(model: str) -> bool:
    return model.startswith("local/") or Path(model).is_dir()


def _read_figures(model: str) -> ModelFigures:
    # Imported here: most reports are made without.
    from tagger.report.figures import read_figures, shipped_figures

    if is_shipped_name(model):
        shipped = find_shipped_model(model)
        return shipped_figures(model, shipped.record)
    if _is_unregistered(model):
        raise TaggerError("only a version in MLflow and the shipped model have figures")
    registry = Registry()
    if not registry.store.exists:
        raise TaggerError(
            "there is no MLflow store here", hint="Run the command in the folder of 'mlruns'"
        )
    return read_figures(registry, registry.find(model))


def _explain(papers: Sequence[Paper], model: str, progress: Progress) -> Mapping[str, Explanation]:
    if not papers:
        hint = "Name the files with the papers, each with --digest"
        raise TaggerError("--evidence needs the abstracts of the papers", hint=hint)
    loaded = load_model_by_name(model, papers, progress)
    explanations = {}
    for done, paper in enumerate(papers, start=1):
        explanations[paper.id] = explain(paper, loaded, loaded.rule())
        progress("Explaining tags", done, len(papers))
    return explanations


def _task_addresses(
    papers: Iterable[ReportedPaper], labels: Iterable[Label], server: str
) -> dict[str, str]:
    """Return the address of the Label Studio task of each reviewed paper, by paper id.

    Answers on the page of ``tagger review here`` have none. If two projects have the same number,
    one was on another server: the addresses of their tasks are ambiguous and left out.
    """
    projects = {label.origin.project for label in labels if label.origin}
    numbers = Counter(project.partition("/")[0] for project in projects)
    return {
        paper.tagged.id: f"{server.rstrip('/')}/projects/{number}/data?task={origin.task}"
        for paper in papers
        if paper.answer and (origin := paper.answer.origin)
        if (number := origin.project.partition("/")[0]).isdecimal() and numbers[number] == 1
    }
