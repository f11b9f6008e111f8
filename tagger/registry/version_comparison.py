"""Compare two registered versions and log the comparison with the run of the second one."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tagger._util.progress import Progress, no_progress
from tagger._util.rendering import render
from tagger.evaluation import METRICS, Churn, Comparison, Speed, compare, measure_churn
from tagger.labels import LabelStore
from tagger.model import TaggerModel
from tagger.papers import Paper
from tagger.registry.metric_names import comparison_metrics
from tagger.registry.predictions import predict_labelled, training_data
from tagger.registry.versions import DeletedRunError, Registry, Version

_TIMED_PAPERS = 32
_TIMED_ROUNDS = 3


def compare_versions(
    registry: Registry, before: Version, after: Version, labels: Path | None = None
) -> Comparison:
    """Compare two versions on the labels of the later one, in its taxonomy.

    The labels of papers that arrived later count, too; they are in the label folder ``labels``. A
    paper that a version was trained on has its out-of-fold prediction, others are predicted by its
    model. Raises a TaggerError if no paper can be compared, or a version has no out-of-fold
    predictions.
    """
    data = training_data(registry, max(before, after, key=lambda version: version.number), labels)
    sides = []
    tables = [registry.held_out(version) for version in (before, after)]
    for version, held_out in zip((before, after), tables, strict=True):
        # A run of a bake-off has no model.
        load = partial(registry.load, version) if version.number else None
        sides.append((version.name, predict_labelled(held_out, load, data)))
    found = compare(sides[0], sides[1], same_folds=_same_folds(registry, before, after))
    measured = {name for name, table in tables[0].items() if table.ids}
    new = tuple(name for name in found.skipped if name not in measured)
    skipped = tuple(name for name in found.skipped if name in measured)
    return replace(found, skipped=skipped, unmeasured=new)


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
    speed = _measure_speed(models, papers[:_TIMED_PAPERS], progress) if papers else None
    churn = None
    if digests:
        earlier = int((before.created, before.number) > (after.created, after.number))
        facets = [facet.facet for facet in comparison.facets]
        churn = _measure_churn(models, digests, facets, earlier, progress)
    return replace(comparison, speed=speed, churn=churn)


def log_comparison(registry: Registry, comparison: Comparison, after: Version) -> str:
    """Log a comparison to the run of the second version; return the artifact path of its page.

    The figures on the same papers are logged to the runs of both versions, for MLflow's view that
    compares runs. The run of the later version gets a name that says the difference.
    """
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException

    name = f"comparisons/against_{comparison.before.replace('/', '_')}"
    before, now = registry.find(comparison.before), int(1000 * time.time())
    with registry.store.writing() as client:
        content = json.dumps(comparison.as_dict(), ensure_ascii=False, indent=2)
        client.log_text(after.run_id, content, f"{name}.json")
        client.log_text(after.run_id, comparison_page(comparison), f"{name}.html")
        for version, figures in zip((before, after), comparison_metrics(comparison), strict=True):
            metrics = [Metric(key, value, now, 0) for key, value in figures.items()]
            with suppress(MlflowException):  # the run of the first version may be deleted
                client.log_batch(version.run_id, metrics)
        if before.number < after.number:
            labels = registry.run(after).data.params["labels"]
            title = f"{after.name}, {labels} labels, {comparison.headline}, against {before.name}"
            client.update_run(after.run_id, name=title)
            tag = f"against {before.name}", comparison.headline
            client.set_model_version_tag(registry.model, str(after.number), *tag)
    return f"{name}.html"


def comparison_page(comparison: Comparison) -> str:
    """Return a comparison as one self-contained HTML page."""
    return render("registry/version_comparison.html", comparison=comparison, metrics=METRICS)


def _same_folds(registry: Registry, before: Version, after: Version) -> bool:
    """Return whether both versions have the same number of folds; False if a run was deleted."""
    try:
        folds = [registry.run(version).data.params.get("folds") for version in (before, after)]
    except DeletedRunError:
        return False
    return folds[0] == folds[1]


def _labelled_papers(registry: Registry, version: Version) -> list[Paper]:
    """Return some papers that a version was trained on; none if its run was deleted."""
    with TemporaryDirectory() as scratch, suppress(DeletedRunError):
        store = LabelStore(registry.label_folder(version, Path(scratch)))
        return [label.paper for label in islice(store.labels(), _TIMED_PAPERS)]
    return []


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
    earlier: int,
    progress: Progress,
) -> Churn:
    """Measure churn in the taxonomy of the later model; ``earlier`` is the index of the other."""
    taxonomy = models[1 - earlier].taxonomy
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
