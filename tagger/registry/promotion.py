"""Promote a version to champion if it passes the gate, and roll back to the previous champion."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from tagger.errors import TaggerError
from tagger.evaluation import GateRules, RuleOutcome, apply_gate
from tagger.registry.version_comparison import compare_versions
from tagger.registry.versions import CHALLENGER, CHAMPION, MODEL_NAME, Registry, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROMOTION = "tagger.promotion"
ROLLBACK = "tagger.rollback"
_CHAMPIONS = "tagger.champions"
_GIVING_UP = "tagger.giving_up"
"""Tag of a rollback in progress: the numbers of the present and of the previous champion."""


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
class Promotion:
    """Result of a request to promote a version: the replaced champion and the gate's outcomes."""

    version: Version
    replaced: Version | None
    outcomes: tuple[RuleOutcome, ...]
    promoted: bool


def promote(
    registry: Registry, version: Version, rules: GateRules, force: str | None = None
) -> Promotion:
    """Make a version the champion if it passes the gate, or if ``force`` gives a reason.

    The record is written before the alias moves. If the call is interrupted, there is still one
    champion, and the same call again finishes the work. Raises a TaggerError if the champion
    changed in the meantime, or if the versions cannot be compared and ``force`` is not given.
    """
    champion = registry.champion()
    if champion and champion.number == version.number:
        _drop_challenger(registry, version)
        return Promotion(version, None, (), True)
    outcomes: tuple[RuleOutcome, ...] = ()
    if champion:
        try:
            outcomes = tuple(apply_gate(compare_versions(registry, champion, version), rules))
        except TaggerError:
            if force is None:
                raise
    if force is None and not all(outcome.passed for outcome in outcomes):
        return Promotion(version, champion, outcomes, False)
    with registry.store.writing() as client:
        current = registry.champion()
        if (current and current.number) != (champion and champion.number):
            raise TaggerError(
                f"{current.name if current else 'no version'} became champion in the meantime",
                hint="Look at 'tagger history', then promote again",
            )
        record_promotion(registry, version, champion, outcomes, force)
        champions = [*_champions(client, champion), version.number]
        client.set_registered_model_tag(MODEL_NAME, _CHAMPIONS, json.dumps(champions))
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(version.number))
        _drop_challenger(registry, version)
    return Promotion(version, champion, outcomes, True)


def roll_back(registry: Registry, reason: str | None = None) -> tuple[Version, Version]:
    """Make the previous champion the champion again; return the replaced version and the champion.

    If an earlier rollback was killed after it had moved the alias, this call only finishes that
    one. Raises a TaggerError if there was no champion before the present one.
    """
    with registry.store.writing() as client:
        champion = registry.champion()
        champions = _champions(client, champion)
        begun = _numbers(client, _GIVING_UP) if champion else []
        if champion and begun[1:] == [champion.number]:
            client.set_registered_model_tag(MODEL_NAME, _CHAMPIONS, json.dumps(champions))
            client.delete_registered_model_tag(MODEL_NAME, _GIVING_UP)
            return registry.find(str(begun[0])), champion
        if champion is None or len(champions) < 2:
            raise TaggerError(
                "there is no previous champion to roll back to",
                path=registry.store.place,
                hint="List the versions with 'tagger history', choose one with 'tagger promote'",
            )
        previous = registry.find(str(champions[-2]))
        promotion = read_record(champion, PROMOTION)
        record = {
            "time": datetime.now(UTC).isoformat(),
            "to": previous.name,
            "reason": reason,
            "promoted": promotion.time if promotion else None,
        }
        registry.set_tag(champion, ROLLBACK, json.dumps(record, ensure_ascii=False))
        giving_up = json.dumps([champion.number, previous.number])
        client.set_registered_model_tag(MODEL_NAME, _GIVING_UP, giving_up)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(previous.number))
        client.set_registered_model_tag(MODEL_NAME, _CHAMPIONS, json.dumps(champions[:-1]))
        client.delete_registered_model_tag(MODEL_NAME, _GIVING_UP)
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
    registry.set_tag(version, PROMOTION, json.dumps(record, ensure_ascii=False))


def _champions(client: MlflowClient, champion: Version | None) -> list[int]:
    """Return the numbers of all champions up to the present one, also after an interruption."""
    if champion is None:
        return []
    recorded = _numbers(client, _CHAMPIONS)
    if champion.number not in recorded:
        # Somebody set the alias by hand in MLflow.
        return [*recorded, champion.number]
    return recorded[: len(recorded) - recorded[::-1].index(champion.number)]


def _numbers(client: MlflowClient, tag: str) -> list[int]:
    """Return the version numbers in a tag of the registered model, [] if it cannot be read."""
    try:
        tags = client.get_registered_model(MODEL_NAME).tags
        return [int(number) for number in json.loads(tags.get(tag, "[]"))]
    except (ValueError, TypeError):
        return []


def read_record(version: Version, tag: str) -> Record | None:
    """Return the record in a tag of a version, or None if it is missing or cannot be read."""
    try:
        return Record.model_validate_json(version.tags.get(tag, ""))
    except ValidationError:
        return None


def _drop_challenger(registry: Registry, version: Version) -> None:
    challenger = registry.challenger()
    if challenger and challenger.number == version.number:
        registry.delete_alias(CHALLENGER)
