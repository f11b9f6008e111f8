"""Build a report from result folders, labels, digests and MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError
from tagger.labels import ConflictRule, Label, LabelStore
from tagger.model import Explanation, explain
from tagger.papers import KnownPapers, Paper
from tagger.registry import Registry, load_model_by_name
from tagger.report.page import LeftOut, Report
from tagger.report.papers import (
    ReportedPaper,
    gather_near_duplicates,
    gather_papers,
    task_address,
)
from tagger.report.results import read_result_folder, translate_results

if TYPE_CHECKING:
    from tagger.report.figures import ModelFigures


def build_report(
    folders: Sequence[Path],
    labels: Path | None,
    digest: Sequence[Paper] = (),
    *,
    model: str | None = None,
    evidence: bool = False,
    conflicts: ConflictRule = "latest",
    label_studio: str | None = None,
    progress: Progress = no_progress,
) -> Report:
    """Build a report; ``left_out`` names each missing part with the reason.

    Raises a TaggerError if a folder cannot be read or ``model`` does not exist.

    Parameters
    ----------
    folders, labels:
        Result folders, and a label folder with reviews. If a paper is in several result folders,
        its latest run counts.
    digest:
        Papers with their abstracts.
    model:
        The version whose figures are shown; by default the one that tagged most papers.
    evidence:
        Whether to explain the tags of ``digest`` by influential sentences.
    conflicts:
        How to settle disagreements of reviewers.
    label_studio:
        Address of the server that the labels came from, to link its tasks.
    progress:
        Called with the stage, papers done and the number of papers.
    """
    results = [read_result_folder(folder) for folder in dict.fromkeys(folders)]
    store = LabelStore(labels) if labels else None
    left_out = []
    if store:
        results = [translate_results(result, store.taxonomy) for result in results]
    else:
        left_out.append(LeftOut("reviews", "there is no label folder"))
    tagged = [paper for result in results for paper in result.papers]
    name = model or Counter(paper.model for paper in tagged).most_common(1)[0][0]
    figures = None
    try:
        figures = _read_figures(name)
    except TaggerError as error:
        if model and not _is_unregistered(model):
            raise
        left_out.append(LeftOut(f"figures of {name}", error.problem))
    known = KnownPapers(paper.paper for paper in tagged)
    digest = [paper for paper in digest if paper in known]
    labelled = store.all_labels() if store else []
    explanations = _explain(digest, name, progress) if evidence else {}
    papers = gather_papers(results, labelled, conflicts, digest, explanations)
    if missing := sum(not paper.abstract for paper in papers):
        reason = f"{missing} of {len(papers)} papers are not in a digest given with --digest"
        left_out.append(LeftOut("abstracts", reason))
    return Report(
        created=datetime.now(UTC),
        folders=tuple(results),
        papers=tuple(papers),
        near_duplicates=tuple(gather_near_duplicates(results)),
        taxonomy=store.taxonomy if store else None,
        figures=figures,
        task_addresses=_task_addresses(papers, labelled, label_studio) if label_studio else {},
        left_out=tuple(left_out),
    )


def _is_unregistered(model: str) -> bool:
    return model.startswith("local/") or Path(model).is_dir()


def _read_figures(model: str) -> ModelFigures:
    if _is_unregistered(model):
        raise TaggerError("a model folder has no figures; give a version with --model")
    registry = Registry()
    if not registry.store.exists:
        raise TaggerError(
            "there is no MLflow store here", hint="Run the command in the folder of 'mlruns'"
        )
    version = registry.find(model)
    # Imported here: a report without figures does not need MLflow.
    from tagger.report.figures import read_figures

    return read_figures(registry, version)


def _explain(papers: Sequence[Paper], model: str, progress: Progress) -> Mapping[str, Explanation]:
    loaded = load_model_by_name(model, papers, progress)
    explanations = {}
    for done, paper in enumerate(papers, start=1):
        explanations[paper.id] = explain(paper, loaded, loaded.rule())
        progress("Explaining tags", done, len(papers))
    return explanations


def _task_addresses(
    papers: Iterable[ReportedPaper], labels: Iterable[Label], server: str
) -> dict[str, str]:
    """Return the address of the Label Studio task of each reviewed paper, by paper id."""
    projects = {label.origin.project for label in labels if label.origin}
    return {
        paper.tagged.id: address
        for paper in papers
        if paper.answer and paper.answer.origin
        if (address := task_address(paper.answer.origin, projects, server))
    }
