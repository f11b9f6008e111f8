"""What is in a folder of results, told from its parts, and whether nothing is missing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pydantic import BaseModel

from tagger.atomic import replacing
from tagger.errors import TaggerError
from tagger.scale import dead_letters, parts
from tagger.scale.parts import Receipt, read_receipt
from tagger.scale.plan import Plan
from tagger.scale.tag_shard import part_of

MANIFEST_FILE = "manifest.json"


class Manifest(BaseModel):
    """The sum of the receipts of a run.

    Parameters
    ----------
    run:
        Fingerprint of the plan.
    model:
        What tagged.
    taxonomy:
        Name and version of its taxonomy.
    shards:
        Number of shards.
    rows, tagged, merged, dead, to_review, counts:
        Sums of what :class:`tagger.scale.parts.Receipt` counts.
    parts:
        Number of papers in each file of results.
    """

    run: str
    model: str
    taxonomy: str
    shards: int
    rows: int
    tagged: int
    merged: int
    dead: int
    to_review: int
    counts: dict[str, Counter[str]]
    parts: dict[str, int]

    def save(self, folder: Path) -> None:
        """Write it to ``manifest.json``."""
        with replacing(folder / MANIFEST_FILE) as file:
            file.write(self.model_dump_json(indent=1) + "\n")


def receipts_in(folder: Path, plan: Plan) -> dict[int, Receipt]:
    """Return the receipts of the shards that are done, by number."""
    found = ((s.number, read_receipt(part_of(s, folder), plan.fingerprint)) for s in plan.shards)
    return {number: receipt for number, receipt in found if receipt}


def take_stock(folder: Path, plan: Plan, taxonomy: str) -> Manifest:
    """Sum up what is there, and see to it that every row is accounted for, once.

    Parameters
    ----------
    folder:
        The folder of results.
    plan:
        What was to be done.
    taxonomy:
        Name and version of the model's taxonomy.

    Raises
    ------
    TaggerError
        If a part is missing or is one too many, or the counts do not agree.
    """
    receipts = receipts_in(folder, plan)
    expected = {part_of(shard, folder): shard for shard in plan.shards}
    for path, shard in expected.items():
        if shard.number not in receipts:
            raise TaggerError(
                "was reported as written, but is not there",
                path=path,
                hint="All machines must see the output folder under one path",
            )
        if receipts[shard.number].rows != shard.cut.rows:
            raise _unbalanced(path, shard.cut.rows, receipts[shard.number].rows)
    for path in sorted((folder / parts.FOLDER).iterdir()):
        if path not in expected:
            raise TaggerError("is no part of this run", path=path, hint="Move it elsewhere")
    counts: dict[str, Counter[str]] = {}
    for receipt in receipts.values():
        for facet, numbers in receipt.counts.items():
            counts.setdefault(facet, Counter()).update(numbers)
    manifest = Manifest(
        run=plan.fingerprint,
        model=plan.settings.model,
        taxonomy=taxonomy,
        shards=len(plan.shards),
        rows=sum(receipt.rows for receipt in receipts.values()),
        tagged=sum(receipt.tagged for receipt in receipts.values()),
        merged=sum(receipt.merged for receipt in receipts.values()),
        dead=sum(receipt.dead for receipt in receipts.values()),
        to_review=sum(receipt.to_review for receipt in receipts.values()),
        counts=counts,
        parts={path.name: receipts[shard.number].tagged for path, shard in expected.items()},
    )
    out = manifest.tagged + manifest.merged + manifest.dead
    letters = _lines_in(folder / dead_letters.FOLDER)
    if out != plan.rows or letters != manifest.dead:
        raise _unbalanced(folder, plan.rows, out - manifest.dead + letters)
    return manifest


def _lines_in(folder: Path) -> int:
    total = 0
    for path in folder.glob("part-*.jsonl"):
        with path.open("rb") as file:
            total += sum(1 for _ in file)
    return total


def _unbalanced(path: Path, given: int, found: int) -> TaggerError:
    return TaggerError(
        f"{given} rows came in, and {found} are accounted for",
        path=path,
        hint="Name another --output to start afresh, and please report this",
    )
