"""Compare two registered versions, and keep the comparison with the second one's run."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from tagger.comparison import Churn, Comparison, Speed, compare, measure_churn
from tagger.evaluation import assign
from tagger.labels import LabelStore
from tagger.model import TaggerModel
from tagger.paper import Paper
from tagger.registry.versions import Registry, Version
from tagger.rendering import render

CompareProgress = Callable[[str, int, int], None]
"""Called with the stage, steps done and steps in all."""

_TIMED_PAPERS = 32
_TIMED_ROUNDS = 3


def compare_versions(registry: Registry, before: Version, after: Version) -> Comparison:
    """Compare two versions on the labelled papers that both held out.

    Raises
    ------
    TaggerError
        If they have no labelled paper in common, or were logged without predictions.
    """
    held_out = [(version.name, registry.held_out(version)) for version in (before, after)]
    return compare(*held_out)


def measure_in_use(
    registry: Registry,
    comparison: Comparison,
    before: Version,
    after: Version,
    digests: Sequence[Paper],
    progress: CompareProgress | None = None,
) -> Comparison:
    """Add to a comparison what both versions do with papers: how they differ, how fast they are.

    Parameters
    ----------
    registry:
        Where the versions are.
    comparison, before, after:
        What was found of them so far, and the versions.
    digests:
        Papers without labels; without any, labelled ones are used to time both, and churn is left
        out.
    progress:
        Called as the work goes on.
    """
    models = registry.load(before), registry.load(after)
    papers = list(digests) or _labelled_papers(registry, after)
    speed = _measure_speed(models, papers[:_TIMED_PAPERS], progress)
    churn = _measure_churn(models, digests, progress) if digests else None
    return replace(comparison, speed=speed, churn=churn)


def log_comparison(registry: Registry, comparison: Comparison, after: Version) -> str:
    """Log a comparison as a page and as JSON to the run of the second version.

    Returns
    -------
    str
        The page's place among the artifacts of the run.
    """
    name = f"comparisons/against_{comparison.before.replace('/', '_')}"
    with registry.store.writing() as client:
        content = json.dumps(comparison.as_dict(), ensure_ascii=False, indent=2)
        client.log_text(after.run_id, content, f"{name}.json")
        client.log_text(after.run_id, comparison_page(comparison), f"{name}.html")
    return f"{name}.html"


def comparison_page(comparison: Comparison) -> str:
    """Return a comparison as one HTML page that needs nothing else."""
    return render("comparison.html", comparison=comparison)


def _labelled_papers(registry: Registry, version: Version) -> list[Paper]:
    with TemporaryDirectory() as scratch:
        store = LabelStore(registry.label_folder(version, Path(scratch)))
        return [label.paper for label in islice(store.labels(), _TIMED_PAPERS)]


def _measure_speed(
    models: tuple[TaggerModel, TaggerModel],
    papers: Sequence[Paper],
    progress: CompareProgress | None,
) -> Speed:
    """Time both in turns, so that a busy machine slows both; the medians count."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(_TIMED_ROUNDS):
        for model, found in zip(models, seconds, strict=True):
            begin = time.perf_counter()
            model.predict_proba(papers)
            found.append(time.perf_counter() - begin)
        if progress:
            progress("Timing", number + 1, _TIMED_ROUNDS)
    before, after = (len(papers) / statistics.median(found) for found in seconds)
    return Speed(before, after)


def _measure_churn(
    models: tuple[TaggerModel, TaggerModel],
    papers: Sequence[Paper],
    progress: CompareProgress | None,
) -> Churn:
    given = []
    for number, model in enumerate(models, start=1):
        chances = model.predict_proba(papers)
        tags = {}
        for facet in model.taxonomy.facets:
            rows = assign(facet, chances[facet.name])
            tags[facet.name] = [
                frozenset(tag for tag, has in zip(facet.tag_names, row, strict=True) if has)
                for row in rows
            ]
        given.append(tags)
        if progress:
            progress("Tagging digests", number, len(models))
    return measure_churn([paper.title for paper in papers], *given)
