"""All versions in a row: what each was trained on, how good it is, and why it is used."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from tagger.registry.promotion import PROMOTION, ROLLBACK
from tagger.registry.training_run import MACRO_F1
from tagger.registry.versions import Registry, Version


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """One version.

    Parameters
    ----------
    name, aliases, run_id:
        What it is called, and the MLflow run that made it.
    created:
        When, in ISO 8601 and UTC.
    labels, labels_from_review:
        How many labels it was trained on, and how many of them are corrections.
    parent:
        The champion at that time.
    macro_f1:
        Per facet, cross-validated.
    review_share:
        Share of papers that it would send to review, 0 to 1.
    why:
        Why it is or was the champion, or why it was given up.
    """

    name: str
    aliases: tuple[str, ...]
    run_id: str
    created: str
    labels: int
    labels_from_review: int
    parent: str
    macro_f1: dict[str, float]
    review_share: float
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for a script."""
        return asdict(self)


def history(registry: Registry) -> list[VersionSummary]:
    """Return all versions, oldest first."""
    return [_summary(registry, version) for version in registry.versions()]


def _summary(registry: Registry, version: Version) -> VersionSummary:
    data = registry.run(version).data
    created = datetime.fromtimestamp(version.created / 1000, UTC)
    prefix = f"{MACRO_F1}/"
    return VersionSummary(
        name=version.name,
        aliases=version.aliases,
        run_id=version.run_id,
        created=created.isoformat(timespec="seconds"),
        labels=int(data.metrics.get("labels", 0)),
        labels_from_review=int(data.params.get("labels_from_review", 0)),
        parent=data.params.get("parent", "none"),
        macro_f1={
            key.removeprefix(prefix): value
            for key, value in sorted(data.metrics.items())
            if key.startswith(prefix)
        },
        review_share=data.metrics.get("expected_review_share", 0.0),
        why=_why(version),
    )


def _why(version: Version) -> str:
    said = []
    promotion = _record(version, PROMOTION)
    if promotion:
        rules = promotion.get("rules") or []
        failed = sum(not rule["passed"] for rule in rules)
        if promotion.get("replaced") is None:
            said.append("the first version")
        elif promotion.get("forced") is not None:
            said.append(f"forced past {failed} of {len(rules)} rules: {promotion['forced']}")
        else:
            said.append(f"passed the gate against {promotion['replaced']}")
    rollback = _record(version, ROLLBACK)
    if rollback and rollback["time"] >= (promotion or {}).get("time", ""):
        reason = f": {rollback['reason']}" if rollback.get("reason") else ""
        said.append(f"given up for {rollback['to']}{reason}")
    return "; ".join(said)


def _record(version: Version, tag: str) -> dict[str, Any]:
    """Return what was noted of a version; a note that somebody spoiled by hand counts as none."""
    try:
        content = json.loads(version.tags.get(tag, "{}"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) and "time" in content else {}
