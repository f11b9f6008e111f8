"""Compare two registered versions, and keep the comparison with the second one's run."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tagger._util.progress import Progress, no_progress
from tagger._util.rendering import render
from tagger.evaluation import (
    METRICS,
    Churn,
    Comparison,
    Speed,
    compare,
    measure_churn,
    translate_predictions,
)
from tagger.labels import LabelStore
from tagger.model import TaggerModel
from tagger.papers import Paper
from tagger.registry.versions import Registry, Version
from tagger.taxonomy import Taxonomy

_TIMED_PAPERS = 32
_TIMED_ROUNDS = 3


def compare_versions(registry: Registry, before: Version, after: Version) -> Comparison:
    """Compare two versions on the labelled papers that both held out, in terms of the later one.

    Raises a TaggerError if they have none in common, or were logged without predictions.
    """
    held_out = [registry.held_out(version) for version in (before, after)]
    earlier, taxonomy = _common_terms(registry, before, after)
    held_out[earlier] = translate_predictions(held_out[earlier], taxonomy)
    return compare((before.name, held_out[0]), (after.name, held_out[1]))


def measure_in_use(
    registry: Registry,
    comparison: Comparison,
    before: Version,
    after: Version,
    digests: Sequence[Paper],
    progress: Progress = no_progress,
) -> Comparison:
    """Add to a comparison what both versions do with papers: how they differ, how fast they are.

    Churn is measured on ``digests``, papers without labels. Without any it is left out, and
    labelled papers are used to time both.
    """
    models = registry.load(before), registry.load(after)
    papers = list(digests) or _labelled_papers(registry, after)
    speed = _measure_speed(models, papers[:_TIMED_PAPERS], progress)
    churn = None
    if digests:
        terms = _common_terms(registry, before, after)
        compared = [facet.facet for facet in comparison.facets]
        churn = _measure_churn(models, digests, compared, terms, progress)
    return replace(comparison, speed=speed, churn=churn)


def log_comparison(registry: Registry, comparison: Comparison, after: Version) -> str:
    """Log a comparison to the run of the second version; return the artifact path of its page."""
    name = f"comparisons/against_{comparison.before.replace('/', '_')}"
    with registry.store.writing() as client:
        content = json.dumps(comparison.as_dict(), ensure_ascii=False, indent=2)
        client.log_text(after.run_id, content, f"{name}.json")
        client.log_text(after.run_id, comparison_page(comparison), f"{name}.html")
    return f"{name}.html"


def comparison_page(comparison: Comparison) -> str:
    """Return a comparison as one HTML page that needs nothing else."""
    return render("comparison.html", comparison=comparison, metrics=METRICS)


def _common_terms(registry: Registry, before: Version, after: Version) -> tuple[int, Taxonomy]:
    """Return which of two versions is the earlier one, 0 or 1, and the taxonomy of the other."""
    if before.number <= after.number:
        return 0, registry.taxonomy(after)
    return 1, registry.taxonomy(before)


def _labelled_papers(registry: Registry, version: Version) -> list[Paper]:
    with TemporaryDirectory() as scratch:
        store = LabelStore(registry.label_folder(version, Path(scratch)))
        return [label.paper for label in islice(store.labels(), _TIMED_PAPERS)]


def _measure_speed(
    models: tuple[TaggerModel, TaggerModel], papers: Sequence[Paper], progress: Progress
) -> Speed:
    """Time both in turns, so that a busy machine slows both; the medians count."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(_TIMED_ROUNDS):
        for model, found in zip(models, seconds, strict=True):
            begin = time.perf_counter()
            model.predict_proba(papers)
            found.append(time.perf_counter() - begin)
        progress("Timing", number + 1, _TIMED_ROUNDS)
    return Speed(*(len(papers) / statistics.median(found) for found in seconds))


def _measure_churn(
    models: tuple[TaggerModel, TaggerModel],
    papers: Sequence[Paper],
    facets: Sequence[str],
    terms: tuple[int, Taxonomy],
    progress: Progress,
) -> Churn:
    earlier, taxonomy = terms
    given: list[dict[str, list[frozenset[str]]]] = []
    for number, model in enumerate(models):
        probabilities, rule = model.predict_proba(papers), model.rule()
        tags = {}
        for name in facets:
            facet = model.taxonomy.facet(name)
            names = np.array(facet.tag_names)
            predicted = rule.predict_labels(facet, probabilities[name])
            rows = [tuple(names[row].tolist()) for row in predicted]
            if number == earlier:
                rows = [taxonomy.read({name: row}).get(name, ()) for row in rows]
            tags[name] = [frozenset(row) for row in rows]
        given.append(tags)
        progress("Tagging digests", number + 1, len(models))
    return measure_churn([paper.title for paper in papers], *given)
