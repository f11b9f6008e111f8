"""Gather a report from result folders, labels, pages and MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError
from tagger.labels import ConflictRule, LabelStore
from tagger.model import Explanation, explain
from tagger.papers import KnownPapers, Paper
from tagger.registry import Registry, load_model_by_name
from tagger.report.page import LeftOut, Report
from tagger.report.papers import gather_near_duplicates, gather_papers, task_address
from tagger.report.results import read_result_folder, translate_results

if TYPE_CHECKING:
    from tagger.report.figures import ModelFigures


def build_report(
    folders: Sequence[Path],
    labels: Path | None,
    pages: Sequence[Paper] = (),
    *,
    model: str | None = None,
    evidence: bool = False,
    conflicts: ConflictRule = "latest",
    label_studio: str | None = None,
    progress: Progress = no_progress,
) -> Report:
    """Gather a report; a part that cannot be shown is named in it with the reason.

    Where a paper is in several result folders, the run that wrote its results last counts. The
    label folder tells what was reviewed; ``pages`` are papers with their abstracts, which are
    explained if ``evidence`` is asked for. The figures are those of ``model``, by default of the
    version that gave most of the tags; ``label_studio`` is the address of the server that the
    labels came from, to link its tasks. Raises a :class:`TaggerError` if a folder cannot be read,
    or there is no ``model`` of that name.
    """
    results = [read_result_folder(folder) for folder in dict.fromkeys(folders)]
    store = LabelStore(labels) if labels else None
    left_out = []
    if store:
        results = [translate_results(result, store.taxonomy) for result in results]
    else:
        left_out.append(LeftOut("what people said", "there is no label folder"))
    tagged = [paper for result in results for paper in result.papers]
    name = model or Counter(paper.model for paper in tagged).most_common(1)[0][0]
    figures = None
    try:
        figures = _read_figures(name)
    except TaggerError as error:
        if model and not _has_no_figures(model):
            raise
        left_out.append(LeftOut(f"how good {name} is", error.problem))
    known = KnownPapers(paper.paper for paper in tagged)
    pages = [paper for paper in pages if paper in known]
    labelled = store.all_labels() if store else []
    explanations = _explain(pages, name, progress) if evidence else {}
    papers = gather_papers(results, labelled, conflicts, pages, explanations)
    if without := sum(not paper.abstract for paper in papers):
        reason = f"{without} of {len(papers)} papers stand on no page named with --digest"
        left_out.append(LeftOut("abstracts", reason))
    projects = {label.origin.project for label in labelled if label.origin}
    addresses = {
        paper.tagged.id: address
        for paper in papers
        if label_studio and paper.answer and paper.answer.origin
        if (address := task_address(paper.answer.origin, projects, label_studio))
    }
    return Report(
        created=datetime.now(UTC),
        folders=tuple(results),
        papers=tuple(papers),
        near_duplicates=tuple(gather_near_duplicates(results)),
        taxonomy=store.taxonomy if store else None,
        figures=figures,
        task_addresses=addresses,
        left_out=tuple(left_out),
    )


def _has_no_figures(model: str) -> bool:
    return model.startswith("local/") or Path(model).is_dir()


def _read_figures(model: str) -> ModelFigures:
    if _has_no_figures(model):
        raise TaggerError("a model folder keeps no figures; name a version with --model")
    registry = Registry()
    if not registry.store.exists:
        raise TaggerError(
            "there is no MLflow store here", hint="Give the command where 'mlruns' is"
        )
    version = registry.find(model)
    # It draws in MLflow's side of the project, which a report without figures does without.
    from tagger.report.figures import read_figures

    return read_figures(registry, version)


def _explain(pages: Sequence[Paper], model: str, progress: Progress) -> Mapping[str, Explanation]:
    loaded = load_model_by_name(model, pages, progress)
    found = {}
    for done, paper in enumerate(pages, start=1):
        found[paper.id] = explain(paper, loaded, loaded.rule())
        progress("Leaving out sentences", done, len(pages))
    return found
