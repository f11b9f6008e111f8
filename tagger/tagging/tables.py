"""The run on any engine: read files, merge their entries, tag what is not done, take stock.

Every step leaves files in the output folder that say that it is done, and a step that is done is
not done again. So after any failure the same command goes on where the last one stopped, and
nothing is lost or there twice.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from tagger import __version__
from tagger._util.atomic import cannot_write, exclusively, replacing, replacing_folder
from tagger.errors import TaggerError
from tagger.model import ENCODING, FLOAT32_FILE, MODEL_FILES, ReviewRule, TaggerModel
from tagger.model import MANIFEST_FILE as MODEL_MANIFEST
from tagger.tagging.run import PROBLEMS_FILE, write_problems
from tagger.tagging.shards import ROWS_PER_SHARD, Shard, merged_shards, read_file
from tagger.tagging.storage import find_files
from tagger.tagging.tag_shard import FOLDER, Receipt, ShardTagger, part_of, read_receipt

PLAN_FILE = "plan.json"
MANIFEST_FILE = "manifest.json"

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many rows or files are done, and how many there are."""


class Engine(Protocol):
    """Yields what work returns for every item, in any order, as soon as it is there.

    With ``holds_model``, each worker keeps one copy of the work from item to item.
    """

    def each(
        self, work: Callable[[Any], Any], items: Iterable[Any], *, holds_model: bool = False
    ) -> Iterator[Any]: ...


class Manifest(BaseModel):
    """The sum of the receipts of a run, by the plan with the fingerprint ``run``.

    ``problems`` counts the rows that have no tags, ``parts`` the papers in each file of results,
    ``shards_before`` the shards that had been done before the last command.
    """

    run: str
    model: str
    taxonomy: str
    shards: int
    shards_before: int
    rows: int
    tagged: int
    merged: int
    problems: int
    to_review: int
    worker_deaths: int
    counts: dict[str, Counter[str]]
    parts: dict[str, int]


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
) -> Manifest:
    """Tag the papers of many or large files; the tags are those that a run on one machine gives.

    Parameters
    ----------
    places:
        Paths or URLs of files, of folders of files, or patterns of either.
    model, model_folder:
        What tags them, reading with its effort, and where it is saved. It is copied to the folder
        of results, where the workers find it.
    folder:
        Where results go, under one path for all workers.
    rule, columns, format_name:
        As for :func:`tagger.tagging.tag_papers` and :func:`tagger.papers.read_papers`.
    device:
        What encodes: ``cpu`` or ``cuda``.

    Raises
    ------
    TaggerError
        If a file cannot be read, the folder cannot be written to, holds the results of another
        run or is being written to by one, or if at the end a row is not accounted for.
    """
    folder = folder.absolute()
    work, model_copy = folder / ".work", folder / "model"
    with exclusively(folder / PLAN_FILE, wait=False):
        files = find_files(places)
        settings = {
            "tagger": __version__,
            "encoding": ENCODING,
            "model": model.name,
            "digest": model.digest,
            "effort": model.effort,
            "device": device,
            "rule": asdict(rule),
            "rows_per_shard": rows_per_shard,
            "columns": dict(columns or {}),
            "format": format_name,
            "files": [asdict(file) for file in files],
        }
        run = _plan(settings, folder)
        finished = _finished(folder, run)
        if finished:
            return finished
        chosen = columns or {}
        read = partial(read_file, work, chosen, format_name, rows_per_shard)
        progress("Reading", 0, len(files))
        for done, _ in enumerate(engine.each(read, enumerate(files)), start=1):
            progress("Reading", done, len(files))
        shards = merged_shards(work, len(files))
        before = _receipts(folder, run, len(shards))
        left = [shard for shard in shards if shard.number not in before]
        if not (model_copy / MODEL_MANIFEST).exists():
            with replacing_folder(model_copy) as copy:
                for name in (*MODEL_FILES, FLOAT32_FILE, MODEL_MANIFEST):
                    if name != FLOAT32_FILE or (model_folder / name).exists():
                        shutil.copyfile(model_folder / name, copy / name)
        tag = ShardTagger(run, folder, work, rule, model_copy, model.name, model.effort, device)
        rows = sum(shard.rows for shard in shards)
        ready = rows - sum(shard.rows for shard in left)
        progress("Tagging", ready, rows)
        for tagged in engine.each(tag, left, holds_model=True):
            ready += tagged
            progress("Tagging", ready, rows)
        manifest = _take_stock(folder, run, shards, model, len(before))
        shutil.rmtree(work, ignore_errors=True)
    return manifest


def _plan(settings: Mapping[str, Any], folder: Path) -> str:
    """Note settings and files in the folder, if it holds no other results; return a fingerprint."""
    plan, path = json.loads(json.dumps(settings)), folder / PLAN_FILE
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (folder / FOLDER).exists():
            raise TaggerError(
                "holds something else than results of this engine",
                path=folder / FOLDER,
                hint="Name another --output",
            ) from None
        with replacing(path) as file:
            json.dump(plan, file, indent=1)
        before = plan
    except (OSError, ValueError) as error:
        raise TaggerError(
            "is no plan that can be read", path=path, hint="Name another --output"
        ) from error
    if before != plan:
        known = before if isinstance(before, dict) else {}
        other = [name for name in plan if known.get(name) != plan[name]]
        raise TaggerError(
            f"holds results of another run, with other {', '.join(other)}",
            path=folder,
            hint="Name another --output, or delete this folder",
        )
    # What workers that were killed left half written.
    try:
        (folder / FOLDER).mkdir(exist_ok=True)
        for left in (folder / FOLDER).glob(".*"):
            left.unlink()
    except OSError as error:
        raise cannot_write(folder / FOLDER, error) from error
    return hashlib.sha256(json.dumps(plan).encode()).hexdigest()


def _receipts(folder: Path, run: str, shards: int) -> dict[int, Receipt]:
    """Return the receipts of the shards that are done, by number."""
    expected = {part_of(number, folder): number for number in range(shards)}
    for path in sorted((folder / FOLDER).iterdir()):
        if path not in expected:
            raise TaggerError("is no part of this run", path=path, hint="Move it elsewhere")
    found = {number: read_receipt(path, run) for path, number in expected.items()}
    return {number: receipt for number, receipt in found.items() if receipt}


def _finished(folder: Path, run: str) -> Manifest | None:
    """Return the manifest if the run was finished, and all that it speaks of is there."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    there = len(_receipts(folder, run, manifest.shards)) == manifest.shards
    manifest.shards_before = manifest.shards
    return manifest if manifest.run == run and there else None


def _take_stock(
    folder: Path, run: str, shards: Sequence[Shard], model: TaggerModel, before: int
) -> Manifest:
    """Sum up what is there, see to it that every row is accounted for, once, and write it down."""
    receipts = _receipts(folder, run, len(shards))
    for shard in shards:
        receipt = receipts.get(shard.number)
        if receipt is None or receipt.rows != shard.rows:
            raise TaggerError(
                f"{shard.rows} rows came in, and {receipt.rows if receipt else 0} are there",
                path=part_of(shard.number, folder),
                hint="All machines must see the output folder under one path",
            )
    problems = [problem for receipt in receipts.values() for problem in receipt.problems]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for receipt in receipts.values():
        for facet, numbers in receipt.counts.items():
            counts[facet].update(numbers)
    summed = ("rows", "tagged", "merged", "to_review", "worker_deaths")
    manifest = Manifest(
        run=run,
        model=model.name,
        taxonomy=model.taxonomy.version,
        shards=len(shards),
        shards_before=before,
        problems=len(problems),
        counts=counts,
        parts={part_of(n, folder).name: receipt.tagged for n, receipt in receipts.items()},
        **{name: sum(getattr(each, name) for each in receipts.values()) for name in summed},
    )
    write_problems(folder / PROBLEMS_FILE, problems)
    with replacing(folder / MANIFEST_FILE) as file:
        file.write(manifest.model_dump_json(indent=1) + "\n")
    return manifest
