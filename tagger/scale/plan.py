"""What a run does, decided before it begins: the same input and settings give the same plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tagger.atomic import replacing
from tagger.encoder import ENCODING
from tagger.errors import TaggerError
from tagger.scale.shards import Shard, Table, shards_of
from tagger.scale.storage import StoredFile

PLAN_FILE = "plan.json"


class Settings(BaseModel):
    """What decides on the results beside the tables.

    Parameters
    ----------
    model, digest:
        Name of the model in results, and its SHA-256.
    effort:
        One of :data:`tagger.model.EFFORTS`.
    device:
        What encodes: ``cpu`` or ``cuda``.
    min_confidence, accept:
        As of :class:`tagger.decision.ReviewRule`.
    rows_per_shard, columns, format:
        How the tables are read.
    encoding:
        :data:`tagger.encoder.ENCODING`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    digest: str
    effort: str
    device: str
    min_confidence: float
    accept: Mapping[str, Mapping[str, float]]
    rows_per_shard: int
    columns: Mapping[str, str]
    format: str | None
    encoding: int = ENCODING


class Plan(BaseModel):
    """Settings and tables of a run.

    Parameters
    ----------
    settings:
        The settings.
    tables:
        The tables, in the order of reading.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    version: Literal[1] = 1
    settings: Settings
    tables: tuple[Table, ...]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all of it but for the times at which files were written."""
        content = self.model_dump(exclude={"tables": {"__all__": {"changed"}}})
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """The shards, in order."""
        return tuple(shards_of(self.tables))

    @property
    def rows(self) -> int:
        """Number of rows of all tables."""
        return sum(table.rows for table in self.tables)

    def is_of(self, settings: Settings, files: list[StoredFile]) -> bool:
        """Tell without reading the files whether it is the plan for them.

        No where a storage does not tell when files were written.
        """
        known = [StoredFile(table.place, table.size, table.changed) for table in self.tables]
        return (
            settings == self.settings
            and files == known
            and all(file.changed is not None for file in files)
        )

    def save(self, folder: Path) -> None:
        """Write it to ``plan.json``."""
        with replacing(folder / PLAN_FILE) as file:
            file.write(self.model_dump_json(indent=1) + "\n")


def load_plan(folder: Path) -> Plan | None:
    """Return the plan of a folder of results, None if it has none.

    Raises
    ------
    TaggerError
        If it cannot be read.
    """
    path = folder / PLAN_FILE
    try:
        return Plan.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise TaggerError(
            "is no plan that this version reads", path=path, hint="Name another --output"
        ) from error
