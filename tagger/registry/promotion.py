"""Promote a version to champion if it passes the gate, and roll back to the previous champion."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.evaluation import GateRules, RuleOutcome, apply_gate
from tagger.registry.history import PROMOTION, ROLLBACK, describe_model, read_record
from tagger.registry.version_comparison import compare_versions
from tagger.registry.versions import CHALLENGER, CHAMPION, HIDDEN, Registry, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

_CHAMPIONS = f"{HIDDEN}tagger.champions"
_GIVING_UP = f"{HIDDEN}tagger.giving_up"
"""Tag of a rollback in progress: the numbers of the present and of the previous champion."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """Result of a request to promote a version: the replaced champion and the gate's outcomes."""

    version: Version
    replaced: Version | None
    outcomes: tuple[RuleOutcome, ...]
    promoted: bool


def promote(
    registry: Registry,
    version: Version,
    rules: GateRules,
    force: str | None = None,
    labels: Path | None = None,
) -> Promotion:
    """Make a version the champion if it passes the gate, or if ``force`` gives a reason.

    The versions are compared as by :func:`tagger.registry.compare_versions`.

    The record is written before the alias moves. If the call is interrupted, there is still one
    champion, and the same call again finishes the work. Raises a TaggerError if the champion
    changed in the meantime, the version cannot be loaded, or the versions cannot be compared and
    ``force`` is not given.
    """
    champion = registry.champion()
    if champion and champion.number == version.number:
        _drop_challenger(registry, version)
        return Promotion(version, None, (), True)
    outcomes: tuple[RuleOutcome, ...] = ()
    if champion:
        try:
            found = compare_versions(registry, champion, version, labels)
            outcomes = tuple(apply_gate(found, rules))
        except TaggerError:
            if force is None:
                raise
    if force is None and not all(outcome.passed for outcome in outcomes):
        return Promotion(version, champion, outcomes, False)
    registry.load(version)
    with registry.store.writing() as client:
        current = registry.champion()
        if (current and current.number) != (champion and champion.number):
            raise TaggerError(
                f"{current.name if current else 'no version'} became champion in the meantime",
                hint="Look at 'tagger history', then promote again",
            )
        record_promotion(registry, version, champion, outcomes, force)
        champions = [*_champions(registry, client, champion), version.number]
        client.set_registered_model_tag(registry.model, _CHAMPIONS, json.dumps(champions))
        # What an interrupted rollback had begun is over.
        client.set_registered_model_tag(registry.model, _GIVING_UP, "[]")
        client.set_registered_model_alias(registry.model, CHAMPION, str(version.number))
        _drop_challenger(registry, version)
        describe_model(registry)
    return Promotion(version, champion, outcomes, True)


def roll_back(registry: Registry, reason: str | None = None) -> tuple[Version, Version]:
    """Make the previous champion the champion again; return the replaced version and the champion.

    If an earlier rollback was killed after it had moved the alias, this call only finishes that
    one. Raises a TaggerError if there was no champion before the present one, or it cannot be
    loaded.
    """
    with registry.store.writing() as client:
        champion = registry.champion()
        champions = _champions(registry, client, champion)
        begun = _numbers(registry, client, _GIVING_UP) if champion else []
        if champion and begun[1:] == [champion.number]:
            client.set_registered_model_tag(registry.model, _CHAMPIONS, json.dumps(champions))
            client.set_registered_model_tag(registry.model, _GIVING_UP, "[]")
            return registry.find(str(begun[0])), champion
        if champion is None or len(champions) < 2:
            raise TaggerError(
                "there is no previous champion to roll back to",
                path=registry.store.place,
                hint=f"{registry.describe_versions()}: choose one with 'tagger promote VERSION'",
            )
        previous = registry.find(str(champions[-2]))
        registry.load(previous)
        promotion = read_record(champion, PROMOTION)
        record = {
            "time": datetime.now(UTC).isoformat(),
            "to": previous.name,
            "reason": reason,
            "promoted": promotion.time if promotion else None,
        }
        registry.note(champion, ROLLBACK, json.dumps(record, ensure_ascii=False))
        giving_up = json.dumps([champion.number, previous.number])
        client.set_registered_model_tag(registry.model, _GIVING_UP, giving_up)
        client.set_registered_model_alias(registry.model, CHAMPION, str(previous.number))
        client.set_registered_model_tag(registry.model, _CHAMPIONS, json.dumps(champions[:-1]))
        client.set_registered_model_tag(registry.model, _GIVING_UP, "[]")
        describe_model(registry)
    return champion, previous


def record_promotion(
    registry: Registry,
    version: Version,
    champion: Version | None = None,
    outcomes: Sequence[RuleOutcome] = (),
    force: str | None = None,
) -> None:
    """Record why a version becomes champion; by default because there was no champion."""
    record = {
        "time": datetime.now(UTC).isoformat(),
        "replaced": champion.name if champion else None,
        "forced": force,
        "rules": list(map(asdict, outcomes)),
    }
    registry.note(version, PROMOTION, json.dumps(record, ensure_ascii=False))


def _champions(registry: Registry, client: MlflowClient, champion: Version | None) -> list[int]:
    """Return the numbers of the champions up to the present one, also after an interruption.

    Those that were deleted in MLflow are left out.
    """
    if champion is None:
        return []
    kept = {version.number for version in registry.versions()}
    recorded = [number for number in _numbers(registry, client, _CHAMPIONS) if number in kept]
    if champion.number not in recorded:
        # Somebody set the alias by hand in MLflow.
        return [*recorded, champion.number]
    return recorded[: len(recorded) - recorded[::-1].index(champion.number)]


def _numbers(registry: Registry, client: MlflowClient, tag: str) -> list[int]:
    """Return the version numbers in a tag of the registered model, [] if it cannot be read."""
    try:
        tags = client.get_registered_model(registry.model).tags
        recorded = tags.get(tag, tags.get(tag.removeprefix(HIDDEN), "[]"))
        return [int(number) for number in json.loads(recorded)]
    except (ValueError, TypeError):
        return []


def _drop_challenger(registry: Registry, version: Version) -> None:
    challenger = registry.challenger()
    if challenger and challenger.number == version.number:
        with registry.store.writing() as client:
            client.delete_registered_model_alias(registry.model, CHALLENGER)
