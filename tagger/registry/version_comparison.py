"""Compare two registered versions and log the comparison with the run of the second one."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
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
)
from tagger.labels import LabelStore
from tagger.model import TaggerModel
from tagger.papers import Paper
from tagger.registry.predictions import predict_labelled, training_data
from tagger.registry.versions import Registry, Version
from tagger.taxonomy import Taxonomy

_TIMED_PAPERS = 32
_TIMED_ROUNDS = 3


def compare_versions(registry: Registry, before: Version, after: Version) -> Comparison:
    """Compare two versions on the labels of the later one, in its taxonomy.

    A paper that a version was trained on has its out-of-fold prediction, others are predicted by
    its model. Raises a TaggerError if no paper can be compared, or a version has no out-of-fold
    predictions.
    """
    data = training_data(registry, max(before, after, key=lambda version: version.number))
    folds = [registry.run(version).data.params.get("folds") for version in (before, after)]
    sides = []
    for version in (before, after):
        # A run of a bake-off has no model.
        load = partial(registry.load, version) if version.number else None
        predictions = predict_labelled(registry.held_out(version), load, data)
        sides.append((version.name, predictions))
    return compare(sides[0], sides[1], same_folds=folds[0] == folds[1])


def measure_churn_and_speed(
    registry: Registry,
    comparison: Comparison,
    before: Version,
    after: Version,
    digests: Sequence[Paper],
    progress: Progress = no_progress,
) -> Comparison:
    """Add churn and speed to a comparison, by tagging papers with both versions.

    Churn is measured on ``digests``, papers without labels; without any it is left out, and speed
    is measured on labelled papers.
    """
    models = registry.load(before), registry.load(after)
    papers = list(digests) or _labelled_papers(registry, after)
    speed = _measure_speed(models, papers[:_TIMED_PAPERS], progress)
    churn = None
    if digests:
        common = _common_taxonomy(registry, before, after)
        facets = [facet.facet for facet in comparison.facets]
        churn = _measure_churn(models, digests, facets, common, progress)
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
    """Return a comparison as one self-contained HTML page."""
    return render("registry/version_comparison.html", comparison=comparison, metrics=METRICS)


def _common_taxonomy(registry: Registry, before: Version, after: Version) -> tuple[int, Taxonomy]:
    """Return the index (0 or 1) of the earlier version and the taxonomy of the later one."""
    if (before.created, before.number) <= (after.created, after.number):
        return 0, registry.taxonomy(after)
    return 1, registry.taxonomy(before)


def _labelled_papers(registry: Registry, version: Version) -> list[Paper]:
    with TemporaryDirectory() as scratch:
        store = LabelStore(registry.label_folder(version, Path(scratch)))
        return [label.paper for label in islice(store.labels(), _TIMED_PAPERS)]


def _measure_speed(
    models: tuple[TaggerModel, TaggerModel], papers: Sequence[Paper], progress: Progress
) -> Speed:
    """Time both models alternately, so that other load slows both; use the medians."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(_TIMED_ROUNDS):
        for model, times in zip(models, seconds, strict=True):
            start = time.perf_counter()
            model.predict_proba(papers)
            times.append(time.perf_counter() - start)
        progress("Timing", number + 1, _TIMED_ROUNDS)
    return Speed(*(len(papers) / statistics.median(times) for times in seconds))


def _measure_churn(
    models: tuple[TaggerModel, TaggerModel],
    papers: Sequence[Paper],
    facets: Sequence[str],
    common: tuple[int, Taxonomy],
    progress: Progress,
) -> Churn:
    earlier, taxonomy = common
    predictions: list[dict[str, list[frozenset[str]]]] = []
    for number, model in enumerate(models):
        probabilities, rule = model.predict_proba(papers), model.rule()
        tags = {}
        for name in facets:
            facet = model.taxonomy.facet(name)
            names = np.array(facet.tag_names)
            masks = rule.predict_labels(facet, probabilities[name])
            predicted = [tuple(names[mask].tolist()) for mask in masks]
            if number == earlier:
                predicted = [taxonomy.read({name: one}).get(name, ()) for one in predicted]
            tags[name] = [frozenset(one) for one in predicted]
        predictions.append(tags)
        progress("Tagging digests", number + 1, len(models))
    return measure_churn([paper.title for paper in papers], *predictions)
