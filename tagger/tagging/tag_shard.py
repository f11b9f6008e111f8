"""Tag one shard into one Parquet file, which says itself what was counted when it was made.

A part is put in place in one step when all of it is written. So a shard is done if and only if its
part is there, and what is done is told from the parts alone.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tagger._util.atomic import cannot_write, replacing_bytes
from tagger.errors import Problem
from tagger.model import ReviewRule, TaggerModel, load_model
from tagger.papers import Paper, TaggedPaper
from tagger.tagging.run import tag_batch, untaggable
from tagger.tagging.shards import Shard, papers_of
from tagger.tagging.writers.arrow import arrow_schema, arrow_tables
from tagger.tagging.writers.tally import Tally

FOLDER = "tags"
MOST_DEATHS = 2
"""Workers that may die at one paper alone before it is given up."""
_BATCH_SIZES = {"cpu": 64, "cuda": 1024}
_KEY = b"tagger.shard"


class Receipt(BaseModel):
    """What became of the rows of a shard, by the plan with the fingerprint ``run``.

    Papers are ``tagged``, entries that are part of a paper elsewhere ``merged``.
    """

    run: str
    rows: int
    problems: list[Problem]
    worker_deaths: int
    tagged: int = 0
    merged: int = 0
    to_review: int = 0
    counts: dict[str, Counter[str]] = {}


def part_of(number: int, folder: Path) -> Path:
    """Return where the result of a shard stands."""
    return folder / FOLDER / f"part-{number:06d}.parquet"


def read_receipt(path: Path, run: str) -> Receipt | None:
    """Return the receipt of a part; None if there is no whole part of this run."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(path)
        receipt = Receipt.model_validate_json((footer.metadata or {}).get(_KEY, b""))
    except (OSError, pa.ArrowException, ValidationError):
        return None
    balances = receipt.rows == receipt.tagged + receipt.merged + len(receipt.problems)
    return receipt if balances and (receipt.run, receipt.tagged) == (run, footer.num_rows) else None


@dataclass
class ShardTagger:
    """Tags shards with a model that each worker loads once; the fields are those of a run."""

    run: str
    folder: Path
    work: Path
    rule: ReviewRule
    model_folder: Path
    model_name: str
    effort: str
    device: str
    _model: TaggerModel | None = field(default=None, init=False, repr=False)

    def __call__(self, shard: Shard) -> int:
        """Tag a shard, unless that was done; return its number of rows."""
        path = part_of(shard.number, self.folder)
        if not read_receipt(path, self.run):
            self._tag(shard, path)
        return shard.rows

    def _tag(self, shard: Shard, path: Path) -> None:
        import pyarrow.parquet as pq

        if self._model is None:
            # Each worker has one core: all others have workers of their own.
            os.environ["TOKENIZERS_PARALLELISM"] = "false"
            model = load_model(self.model_folder, self.model_name, device=self.device, threads=1)
            self._model = model.at_effort(self.effort)
        model = self._model
        attempts = Attempts(self.work / f"{shard.label}.attempts.json")
        receipt = Receipt(
            run=self.run,
            rows=shard.rows,
            problems=shard.problems,
            worker_deaths=attempts.deaths,
        )

        def tagged() -> Iterator[TaggedPaper]:
            for batch in self._batches(shard, attempts, receipt):
                done = tag_batch(batch, model, self.rule)
                receipt.problems += done.problems
                for paper in filter(None, done.papers):
                    tally.add(paper)
                    yield paper

        tally = Tally()
        tables = list(arrow_tables(tagged(), model.taxonomy))
        receipt.tagged, receipt.to_review = tally.papers, tally.to_review
        receipt.counts = tally.tags
        with (
            replacing_bytes(path) as file,
            pq.ParquetWriter(file, arrow_schema(model.taxonomy)) as writer,
        ):
            for table in tables:
                writer.write_table(table)
            writer.add_key_value_metadata({_KEY: receipt.model_dump_json()})
        attempts.path.unlink(missing_ok=True)

    def _batches(self, shard: Shard, attempts: Attempts, receipt: Receipt) -> Iterator[list[Paper]]:
        """Yield papers to tag together, noting where the worker is; count what is none."""
        batch: list[Paper] = []
        start = 0
        for row, paper in enumerate([*papers_of(shard, self.work), None]):
            # Suspects, and what follows the last of them, begin a batch.
            alone = attempts.stop > attempts.start <= row <= attempts.stop
            if batch and (alone or row == shard.papers or len(batch) == _BATCH_SIZES[self.device]):
                attempts.begin(start, row)
                yield batch
                batch = []
            if row == shard.papers:
                return
            if paper is None:
                receipt.merged += 1
            elif row in attempts.given_up:
                reason = f"{MOST_DEATHS} workers died while they tagged it alone"
                receipt.problems.append(untaggable(paper, reason))
            else:
                start = start if batch else row
                batch.append(paper)


class Attempts:
    """A note of the papers that a worker is at, for the one that comes after it if it dies.

    The next one tags the papers from ``start`` to before ``stop`` one by one; ``given_up`` are
    those at which too many died. Without the note a paper is tried once more, no worse.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = self.stop = self._here = self.deaths = 0
        self.given_up: set[int] = set()
        try:
            (start, stop, here, deaths), given_up = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError):
            return
        self.start, self.stop, self._here, self.deaths = start, stop, here + 1, deaths + 1
        self.given_up = set(given_up)
        if stop - start == 1 and self._here >= MOST_DEATHS:
            self.given_up.add(start)

    def begin(self, start: int, stop: int) -> None:
        """Note that the papers from ``start`` to before ``stop`` are being tagged now."""
        here = self._here if (start, stop) == (self.start, self.stop) else 0
        note = [[start, stop, here, self.deaths], sorted(self.given_up)]
        new = self.path.with_suffix(".new")
        try:
            new.write_text(json.dumps(note), encoding="utf-8")
            new.replace(self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from error
