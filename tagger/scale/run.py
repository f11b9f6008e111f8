"""The run on any engine: plan, find duplicates, tag what is not done, take stock.

Every step leaves files in the output folder that say that it is done, and a step that is done is
not done again. So after any failure the same command goes on where the last one stopped, and
nothing is lost or there twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagger.atomic import cannot_write, exclusively, replacing_folder
from tagger.decision import ReviewRule
from tagger.errors import TaggerError
from tagger.model import MANIFEST_FILE, MODEL_FILES, TaggerModel
from tagger.scale import dead_letters, duplicates, parts
from tagger.scale.manifest import Manifest, receipts_in, take_stock
from tagger.scale.parts import Receipt
from tagger.scale.plan import PLAN_FILE, Plan, Settings, load_plan
from tagger.scale.shards import ROWS_PER_SHARD, Shard, Table
from tagger.scale.steps import (
    Engine,
    NoteCandidates,
    NoteNames,
    Scan,
    TagShards,
    answers,
    as_item,
)
from tagger.scale.storage import find_files

MODEL_FOLDER = "model"
WORK_FOLDER = ".work"

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many rows or files are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class ScaleRun:
    """What a run did.

    Parameters
    ----------
    manifest:
        What is in the folder now.
    shards_before:
        Shards that an earlier run had done.
    """

    manifest: Manifest
    shards_before: int


def tag_tables(
    places: Sequence[str],
    model: TaggerModel,
    model_folder: Path,
    folder: Path,
    rule: ReviewRule,
    engine: Engine,
    *,
    columns: Mapping[str, str] | None = None,
    format_name: str | None = None,
    rows_per_shard: int = ROWS_PER_SHARD,
    device: str = "cpu",
    progress: Progress = lambda _stage, _done, _total: None,
) -> ScaleRun:
    """Tag the papers of large tables; the tags are those that a run on one machine gives.

    Parameters
    ----------
    places:
        Paths or URLs of tables, of folders of tables, or patterns of either.
    model, model_folder:
        What tags them, reading with its effort, and where it is saved. It is copied to the folder
        of results, where the workers find it.
    folder:
        Where results go, under one path for all workers.
    rule:
        When a paper goes to review.
    engine:
        What runs the workers.
    columns, format_name, rows_per_shard:
        As for :func:`tagger.scale.tables.scan_table`.
    device:
        What encodes: ``cpu`` or ``cuda``.
    progress:
        Called as the work goes on.

    Raises
    ------
    TaggerError
        If a table cannot be read, the folder cannot be written to, holds the results of another
        run or is being written to by one, or if at the end a row is not accounted for.
    """
    folder = folder.absolute()
    work = folder / WORK_FOLDER
    with exclusively(folder / PLAN_FILE, wait=False):
        settings = Settings(
            model=model.name,
            digest=model.digest,
            effort=model.effort,
            device=device,
            min_confidence=rule.min_confidence,
            accept=rule.accept,
            rows_per_shard=rows_per_shard,
            columns=columns or {},
            format=format_name,
        )
        plan = _plan(places, settings, folder, engine, progress)
        _remove_unfinished(folder)
        done = receipts_in(folder, plan)
        left = [shard for shard in plan.shards if shard.number not in done]
        if left:
            if not duplicates.are_known(work):
                _find_duplicates(plan, work, engine, progress)
            _copy_model(model, model_folder, folder / MODEL_FOLDER)
            step = TagShards(
                plan.fingerprint,
                folder,
                work,
                rule,
                folder / MODEL_FOLDER,
                model.name,
                model.effort,
                device,
            )
            _tag(left, step, plan.rows, engine, progress)
        manifest = take_stock(folder, plan, model.taxonomy.version)
        manifest.save(folder)
        shutil.rmtree(work, ignore_errors=True)
    return ScaleRun(manifest, len(done))


def _plan(
    places: Sequence[str], settings: Settings, folder: Path, engine: Engine, progress: Progress
) -> Plan:
    """Return the plan of the folder if it is for these tables and settings, or a new one."""
    files = find_files(places)
    before = load_plan(folder)
    if before and before.is_of(settings, files):
        return before
    if before is None and (folder / parts.FOLDER).exists():
        raise TaggerError(
            "holds something else than results of this engine",
            path=folder / parts.FOLDER,
            hint="Name another --output",
        )
    tables: dict[str, Table] = {}
    step = Scan(settings.columns, settings.format, settings.rows_per_shard)
    progress("Looking through files", 0, len(files))
    for answer in answers(engine, step, map(as_item, files)):
        table = Table.model_validate_json(answer)
        tables[table.place] = table
        progress("Looking through files", len(tables), len(files))
    plan = Plan(settings=settings, tables=tuple(tables[file.place] for file in files))
    if before and before.fingerprint != plan.fingerprint:
        what = "settings" if before.settings != settings else "tables"
        if before.settings.digest != settings.digest:
            what = f"model ({before.settings.model})"
        raise TaggerError(
            f"holds results of another run, of other {what}",
            path=folder,
            hint="Name another --output, or delete this folder",
        )
    plan.save(folder)
    return plan


def _find_duplicates(plan: Plan, work: Path, engine: Engine, progress: Progress) -> None:
    stage, done = "Looking for duplicates", 0
    progress(stage, 0, plan.rows)
    for answer in answers(engine, NoteNames(work), _items(plan.shards)):
        done += int(answer)
        progress(stage, done, plan.rows)
    numbers = set(duplicates.find_duplicate_names(plan.shards, work))
    some = [shard for shard in plan.shards if shard.number in numbers]
    if some:
        for _ in answers(engine, NoteCandidates(work), _items(some)):
            pass
    duplicates.finish(work, duplicates.merge_candidates(some, work))


def _tag(
    shards: Sequence[Shard], step: TagShards, rows: int, engine: Engine, progress: Progress
) -> None:
    done = rows - sum(shard.cut.rows for shard in shards)
    progress("Tagging", done, rows)
    for answer in answers(engine, step, _items(shards)):
        done += Receipt.model_validate_json(answer).rows
        progress("Tagging", done, rows)


def _items(shards: Sequence[Shard]) -> list[str]:
    return [shard.model_dump_json() for shard in shards]


def _copy_model(model: TaggerModel, source: Path, target: Path) -> None:
    """Copy a model, unless it is there; a part of it that is damaged is refused when loaded."""
    if (target / MANIFEST_FILE).exists():
        return
    with replacing_folder(target) as folder:
        for name in (*MODEL_FILES, MANIFEST_FILE):
            shutil.copyfile(source / name, folder / name)


def _remove_unfinished(folder: Path) -> None:
    """Remove what workers that were killed left half written."""
    for name in (parts.FOLDER, dead_letters.FOLDER):
        try:
            (folder / name).mkdir(parents=True, exist_ok=True)
            for path in (folder / name).glob(".*.tmp"):
                shutil.rmtree(path)
        except OSError as error:
            raise cannot_write(folder / name, error) from error
