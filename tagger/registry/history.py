"""List all versions with their labels, macro-F1 and the reason why each is or was champion."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from tagger._util.rendering import render
from tagger.errors import TaggerError
from tagger.evaluation import UNKNOWN, Figure
from tagger.registry.metric_names import metric_name, read_figures
from tagger.registry.versions import Registry, Version

if TYPE_CHECKING:
    from mlflow.entities import Run

PROMOTION = "tagger.promotion"
ROLLBACK = "tagger.rollback"
_DESCRIBED = 12
"""Number of versions that the description of the registered model has."""
_LOGGER = logging.getLogger(__name__)


class _Rule(BaseModel):
    passed: bool


class Record(BaseModel):
    """Why a version was promoted or rolled back, as recorded in its tags.

    ``promoted`` is the time of the promotion that a rollback to the version ``to`` undid.
    """

    time: str
    replaced: str | None = None
    forced: str | None = None
    rules: list[_Rule] = []
    to: str = ""
    reason: str | None = None
    promoted: str | None = None


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """Summary of a version.

    ``created`` is a time in ISO 8601 and UTC. ``parent`` is the champion at that time. ``reviewed``
    is the macro-F1 per facet on ``reviewed_papers`` reviewed papers, empty if too few were
    reviewed; ``seed`` is that on seed labels. ``review_share`` is the expected share of papers
    marked for review, None if unknown. ``why`` tells why the version is or was the champion.
    """

    name: str
    aliases: tuple[str, ...] = ()
    run_id: str = ""
    created: str = ""
    labels: int = 0
    labels_from_review: int = 0
    parent: str = "none"
    reviewed: dict[str, Figure] = field(default_factory=dict)
    reviewed_papers: int = 0
    seed: dict[str, Figure] = field(default_factory=dict)
    review_share: float | None = None
    why: str = ""


def version_history(registry: Registry) -> list[VersionSummary]:
    """Return all versions, oldest first."""
    versions = registry.versions()
    runs = registry.runs(versions) if versions else {}
    return [_summary(version, runs.get(version.run_id)) for version in versions]


def describe_model(registry: Registry) -> None:
    """Describe the registered model in MLflow: its versions and their figures, newest first.

    Of many versions it has the newest and those with an alias, since MLflow limits the length. A
    failure is only logged.
    """
    try:
        found = version_history(registry)[::-1]
        shown = found[:_DESCRIBED] + [one for one in found[_DESCRIBED:] if one.aliases]
        older = len(found) - len(shown)
        text = render("registry/registered_model.md", versions=shown, unknown=UNKNOWN, older=older)
        with registry.store.writing() as client:
            client.update_registered_model(registry.model, text)
    except TaggerError as error:
        _LOGGER.warning("the registered model has an old description: %s", error)


def read_record(version: Version, tag: str) -> Record | None:
    """Return the record in a tag of a version, or None if it is missing or cannot be read."""
    try:
        return Record.model_validate_json(version.tags.get(tag, ""))
    except ValidationError:
        return None


def _summary(version: Version, run: Run | None) -> VersionSummary:
    # A run may have been deleted in MLflow while its version remains.
    logged, params = (run.data.metrics, run.data.params) if run else ({}, {})
    # Another program may have logged NaN for a figure.
    metrics = {name: value for name, value in logged.items() if isfinite(value)}
    created = datetime.fromtimestamp(version.created / 1000, UTC)
    papers = metric_name("reviewed", "papers", "")
    return VersionSummary(
        name=version.name,
        aliases=version.aliases,
        run_id=version.run_id,
        created=created.isoformat(timespec="seconds"),
        labels=int(params.get("labels", 0)),
        labels_from_review=int(params.get("labels_from_review", 0)),
        parent=params.get("parent", "none"),
        reviewed=read_figures(metrics, metric_name("reviewed", "macro_f1", "")),
        reviewed_papers=int(
            max((value for name, value in metrics.items() if name.startswith(papers)), default=0)
        ),
        seed=read_figures(metrics, metric_name("seed", "macro_f1", "")),
        review_share=metrics.get("expected_review_share"),
        why=_why(version),
    )


def _why(version: Version) -> str:
    reasons = []
    promotion = read_record(version, PROMOTION)
    if promotion:
        failed = sum(not rule.passed for rule in promotion.rules)
        if promotion.forced is not None:
            past = f"forced past {failed} of {len(promotion.rules)} rules"
            reasons.append(f"{past}: {promotion.forced}")
        elif promotion.replaced is None:
            reasons.append("there was no champion")
        else:
            reasons.append(f"passed the gate against {promotion.replaced}")
    rollback = read_record(version, ROLLBACK)
    # Matched by the promotion that it undid, not by time: clocks can go back.
    if rollback and rollback.promoted == (promotion.time if promotion else None):
        reason = f": {rollback.reason}" if rollback.reason else ""
        reasons.append(f"rolled back to {rollback.to}{reason}")
    return "; ".join(reasons)
