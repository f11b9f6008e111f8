"""Make a version the champion if the gate lets it, and get the old one back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.evaluation import GateRules, RuleOutcome, apply_gate
from tagger.registry.comparing import compare_versions
from tagger.registry.versions import CHALLENGER, CHAMPION, MODEL_NAME, Registry, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROMOTION = "tagger.promotion"
ROLLBACK = "tagger.rollback"
_CHAMPIONS = "tagger.champions"
_GIVING_UP = "tagger.giving_up"
"""Says from where to where a rollback is under way."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """What became of a request to promote a version, against which champion, by which outcomes."""

    version: Version
    replaced: Version | None
    outcomes: tuple[RuleOutcome, ...]
    promoted: bool


def promote(
    registry: Registry, version: Version, rules: GateRules, force: str | None = None
) -> Promotion:
    """Make a version the champion if it passes the gate, or for a reason to ``force`` it.

    The record of why comes first, the alias of the champion next: whatever is interrupted, one
    version is the champion, and the same call again finishes the work. Raises a
    TaggerError if the champion changed meanwhile, or, unless forced, nothing can be compared.
    """
    champion = registry.champion()
    if champion and champion.number == version.number:
        _drop_challenger(registry, version)
        return Promotion(version, None, (), True)
    outcomes: Sequence[RuleOutcome] = []
    if champion:
        try:
            outcomes = apply_gate(compare_versions(registry, champion, version), rules)
        except TaggerError:
            if force is None:
                raise
    if force is None and not all(outcome.passed for outcome in outcomes):
        return Promotion(version, champion, tuple(outcomes), False)
    with registry.store.writing() as client:
        now = registry.champion()
        if (now and now.number) != (champion and champion.number):
            raise TaggerError(
                f"{now.name if now else 'no version'} became champion meanwhile",
                hint="Look at 'tagger history', then promote again",
            )
        record_promotion(registry, version, champion, outcomes, force)
        line = [*_champions(client, champion), version.number]
        client.set_registered_model_tag(MODEL_NAME, _CHAMPIONS, json.dumps(line))
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(version.number))
        _drop_challenger(registry, version)
    return Promotion(version, champion, tuple(outcomes), True)


def roll_back(registry: Registry, reason: str | None = None) -> tuple[Version, Version]:
    """Make the champion before the present one champion again; return what is given up, and it.

    A rollback that was killed when it had changed the champion is finished, and goes no further
    back. Raises a TaggerError if there was no champion before this one.
    """
    with registry.store.writing() as client:
        champion = registry.champion()
        line = _champions(client, champion)
        begun = _noted(client, _GIVING_UP) if champion else []
        if champion and begun[1:] == [champion.number]:
            client.set_registered_model_tag(MODEL_NAME, _CHAMPIONS, json.dumps(line))
            client.delete_registered_model_tag(MODEL_NAME, _GIVING_UP)
            return registry.find(str(begun[0])), champion
        if champion is None or len(line) < 2:
            raise TaggerError(
                "there is no champion before the present one to go back to",
                path=registry.store.place,
                hint="'tagger history' lists the versions, 'tagger promote' chooses one",
            )
        previous = registry.find(str(line[-2]))
        record = {
            "time": datetime.now(UTC).isoformat(),
            "to": previous.name,
            "reason": reason,
            "promoted": _promoted_at(champion),
        }
        registry.note(champion, ROLLBACK, json.dumps(record, ensure_ascii=False))
        way = json.dumps([champion.number, previous.number])
        client.set_registered_model_tag(MODEL_NAME, _GIVING_UP, way)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, str(previous.number))
        client.set_registered_model_tag(MODEL_NAME, _CHAMPIONS, json.dumps(line[:-1]))
        client.delete_registered_model_tag(MODEL_NAME, _GIVING_UP)
    return champion, previous


def record_promotion(
    registry: Registry,
    version: Version,
    champion: Version | None = None,
    outcomes: Sequence[RuleOutcome] = (),
    force: str | None = None,
) -> None:
    """Note why a version is champion; by default because there was none."""
    record = {
        "time": datetime.now(UTC).isoformat(),
        "replaced": champion.name if champion else None,
        "forced": force,
        "rules": list(map(asdict, outcomes)),
    }
    registry.note(version, PROMOTION, json.dumps(record, ensure_ascii=False))


def _champions(client: MlflowClient, champion: Version | None) -> list[int]:
    """Return the champions up to the present one, whatever a kill left of the record."""
    if champion is None:
        return []
    line = _noted(client, _CHAMPIONS)
    if champion.number not in line:
        # Somebody chose it by hand, in MLflow.
        return [*line, champion.number]
    return line[: len(line) - line[::-1].index(champion.number)]


def _noted(client: MlflowClient, tag: str) -> list[int]:
    try:
        tags = client.get_registered_model(MODEL_NAME).tags
        return [int(number) for number in json.loads(tags.get(tag, "[]"))]
    except (ValueError, TypeError):
        return []


def _promoted_at(version: Version) -> str | None:
    """Return the time that the promotion of a version is noted with."""
    try:
        return str(json.loads(version.tags[PROMOTION])["time"])
    except (KeyError, TypeError, ValueError):
        return None


def _drop_challenger(registry: Registry, version: Version) -> None:
    challenger = registry.challenger()
    if challenger and challenger.number == version.number:
        registry.drop_alias(CHALLENGER)
