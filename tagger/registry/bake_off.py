"""Bake-offs as MLflow runs, one parent with a child per candidate; runs set side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tagger.evaluation import Comparison, measured_on, split_samples
from tagger.labels import LabelSnapshot
from tagger.registry.metric_names import held_out_metrics
from tagger.registry.training_run import (
    TRAINING_EXPERIMENT,
    lineage_of,
    log_labels,
    log_predictions,
)
from tagger.registry.version_comparison import compare_versions
from tagger.registry.versions import Registry, Version
from tagger.training import Contender

_PARENT = "mlflow.parentRunId"
_SUMMARY = "bake_off.json"


@dataclass(frozen=True, slots=True)
class RunFigures:
    """A training or bake-off run among others.

    ``figures`` are by facet those of :func:`tagger.evaluation.evaluate`, on reviewed papers, or on
    seed labels if too few were reviewed: ``measured_on`` says which. ``cost`` has seconds and size
    as they were logged. ``against_first`` is None for the first run.
    """

    name: str
    run_id: str
    figures: dict[str, dict[str, float]]
    measured_on: dict[str, str]
    cost: dict[str, float]
    against_first: Comparison | None

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON data."""
        against = self.against_first and self.against_first.as_dict()
        return {
            "name": self.name,
            "run": self.run_id,
            "figures": self.figures,
            "measured_on": self.measured_on,
            "cost": self.cost,
            "against_first": against,
        }


COSTS = {
    "training_seconds": "training s",
    "seconds_per_100_papers": "s per 100 papers",
    "model_megabytes": "MB",
}
"""Metrics of cost in MLflow, and their headings."""


def log_bake_off(
    registry: Registry, snapshot: LabelSnapshot, contenders: Iterable[Contender]
) -> tuple[str, list[RunFigures]]:
    """Log each candidate as a child run once it is done; return the parent's id and the figures.

    Raises a TaggerError if the store cannot be written; children logged before stay.
    """
    lineage = lineage_of(snapshot, registry.champion())
    with registry.store.writing() as client:
        experiment = registry.store.experiment_id(client, TRAINING_EXPERIMENT)
        title = f"bake-off on {len(snapshot.labels)} labels"
        parent = client.create_run(experiment, run_name=title).info.run_id
    state, children = "FAILED", []
    try:
        for contender in contenders:
            children.append(_log_contender(registry, snapshot, contender, parent, lineage))
        found = compare_runs(registry, children)
        state = "FINISHED"
        with registry.store.writing() as client:
            summary = {"candidates": [each.as_dict() for each in found]}
            client.log_dict(parent, summary, _SUMMARY)
    finally:
        with registry.store.writing() as client:
            client.set_terminated(parent, state)
    return parent, found


def _log_contender(
    registry: Registry,
    snapshot: LabelSnapshot,
    contender: Contender,
    parent: str,
    lineage: dict[str, str],
) -> Version:
    import mlflow

    cost = contender.seconds, contender.seconds_per_100, contender.megabytes
    with registry.store.writing() as client:
        experiment = registry.store.experiment_id(client, TRAINING_EXPERIMENT)
        tags, name = {_PARENT: parent}, contender.name
        with registry.store.run(client, experiment, name, None, tags, seconds=cost[0]) as run:
            mlflow.log_params(asdict(contender.settings) | lineage)
            mlflow.log_metrics(
                held_out_metrics(contender.out_of_fold) | dict(zip(COSTS, cost, strict=True))
            )
            log_labels(snapshot)
            log_predictions(contender.out_of_fold)
    return registry.find_run(run.info.run_id)


def compare_runs(registry: Registry, runs: Sequence[Version]) -> list[RunFigures]:
    """Set runs side by side, each compared with the first on the papers that both held out.

    Raises a TaggerError if a run has no out-of-fold predictions, or none of the same papers.
    """
    found: list[RunFigures] = []
    for run in runs:
        logged = registry.run(run).data.metrics
        figures, places = {}, {}
        for name, each in registry.held_out(run).items():
            sample, part = next(iter(split_samples(each).items()))
            figures[name] = part.metrics()
            places[name] = measured_on(len(part.ids), sample)
        cost = {name: logged[name] for name in COSTS if name in logged}
        against = compare_versions(registry, runs[0], run) if found else None
        found.append(RunFigures(run.name, run.run_id, figures, places, cost, against))
    return found
