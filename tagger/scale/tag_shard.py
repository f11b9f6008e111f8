"""Tag one shard into one Parquet file, which says itself what was counted when it was made.

A part is put in place in one step when all of it is written. So a shard is done if and only if its
part is there, and what is done is told from the parts alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tagger.atomic import cannot_write, replacing_bytes
from tagger.decision import ReviewRule
from tagger.errors import Problem
from tagger.model import TaggerModel
from tagger.paper import Paper
from tagger.scale.shards import Shard, papers_of
from tagger.tagged_paper import TaggedPaper
from tagger.tagging import tag_batch, untaggable
from tagger.writers.arrow import arrow_schema, arrow_tables

FOLDER = "tags"
BATCH_SIZES = {"cpu": 64, "cuda": 1024}
"""Papers tagged together, by what encodes."""
MOST_DEATHS = 2
"""Workers that may die at one paper alone before it is given up."""
_KEY = b"tagger.shard"


class Counts(BaseModel):
    """What became of rows.

    Parameters
    ----------
    rows:
        Rows that came in.
    tagged:
        Papers that came out.
    merged:
        Rows that are part of a paper that came out elsewhere.
    to_review:
        Papers that a person should look at.
    worker_deaths:
        Workers that died on the way.
    counts:
        Papers per facet and tag.
    """

    rows: int = 0
    tagged: int = 0
    merged: int = 0
    to_review: int = 0
    worker_deaths: int = 0
    counts: dict[str, Counter[str]] = {}

    def add(self, other: Counts) -> None:
        """Add what became of other rows."""
        for name in ("rows", "tagged", "merged", "to_review", "worker_deaths"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for facet, numbers in other.counts.items():
            self.counts.setdefault(facet, Counter()).update(numbers)


class Receipt(Counts):
    """What became of the rows of a shard, by the plan with the fingerprint ``run``."""

    run: str
    shard: int
    problems: list[Problem]

    @property
    def balances(self) -> bool:
        """Whether each row that came in is accounted for."""
        return self.rows == self.tagged + self.merged + len(self.problems)

    def count(self, paper: TaggedPaper) -> None:
        """Count a paper that came out."""
        self.tagged += 1
        self.to_review += paper.review is not None
        for facet, tags in paper.tags.items():
            self.counts.setdefault(facet, Counter()).update(tags)


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
    whole = receipt.run == run and receipt.tagged == footer.num_rows and receipt.balances
    return receipt if whole else None


def tag_shard(
    shard: Shard,
    run: str,
    folder: Path,
    work: Path,
    model: TaggerModel,
    rule: ReviewRule,
    batch_size: int,
) -> Receipt:
    """Tag the papers of a shard, unless that was done.

    Raises
    ------
    TaggerError
        If a result cannot be written. What is wrong with one paper is not raised, but kept as a
        problem.
    """
    import pyarrow.parquet as pq

    path = part_of(shard.number, folder)
    done = read_receipt(path, run)
    if done:
        return done
    attempts = Attempts(work / f"{shard.label}.attempts.json")
    receipt = Receipt(
        run=run,
        shard=shard.number,
        rows=shard.rows,
        problems=shard.problems,
        worker_deaths=attempts.deaths,
    )

    def tagged() -> Iterator[TaggedPaper]:
        for batch in _batches(shard, work, attempts, receipt, batch_size):
            said = tag_batch(batch, model, rule)
            receipt.problems += said.problems
            for paper in filter(None, said.papers):
                receipt.count(paper)
                yield paper

    tables = list(arrow_tables(tagged(), model.taxonomy))
    with (
        replacing_bytes(path) as file,
        pq.ParquetWriter(file, arrow_schema(model.taxonomy)) as writer,
    ):
        for table in tables:
            writer.write_table(table)
        writer.add_key_value_metadata({_KEY: receipt.model_dump_json()})
    attempts.end()
    return receipt


def _batches(
    shard: Shard, work: Path, attempts: Attempts, receipt: Receipt, size: int
) -> Iterator[list[Paper]]:
    """Yield papers to tag together; count what is none."""
    batch: list[Paper] = []
    start = 0
    for row, paper in enumerate(papers_of(shard, work)):
        alone = attempts.is_suspect(row)
        if batch and (alone or len(batch) == size):
            attempts.begin(start, row)
            yield batch
            batch = []
        if paper is None:
            receipt.merged += 1
        elif attempts.is_given_up(row):
            reason = f"{MOST_DEATHS} workers died while they tagged it alone"
            receipt.problems.append(untaggable(paper, reason))
        else:
            start = start if batch else row
            batch.append(paper)
            if alone:
                attempts.begin(row, row + 1)
                yield batch
                batch = []
    if batch:
        attempts.begin(start, shard.papers)
        yield batch


class Attempts:
    """A note of the papers that a worker is at, for the one that comes after it if it dies.

    The next one tags these papers one by one. A paper at which workers keep dying is given up.

    Parameters
    ----------
    path:
        Where the note is kept. It is not seen to that it reaches the disk: without it a paper is
        tried once more, no worse.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = self._stop = self._here = self.deaths = 0
        self._given_up: set[int] = set()
        try:
            (start, stop, here, deaths), given_up = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError):
            return
        self._start, self._stop, self._here, self.deaths = start, stop, here + 1, deaths + 1
        self._given_up = set(given_up)
        if stop - start == 1 and self._here >= MOST_DEATHS:
            self._given_up.add(start)

    def begin(self, start: int, stop: int) -> None:
        """Note that the papers from ``start`` to before ``stop`` are being tagged now.

        Raises
        ------
        TaggerError
            If the folder cannot be written to.
        """
        here = self._here if (start, stop) == (self._start, self._stop) else 0
        note = [[start, stop, here, self.deaths], sorted(self._given_up)]
        new = self._path.with_suffix(".new")
        try:
            new.write_text(json.dumps(note), encoding="utf-8")
            new.replace(self._path)
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def is_suspect(self, row: int) -> bool:
        """Tell whether a worker died at a paper, or at others together with it."""
        return self._start <= row < self._stop

    def is_given_up(self, row: int) -> bool:
        """Tell whether too many workers died at a paper alone."""
        return row in self._given_up

    def end(self) -> None:
        """Take the note away: the shard is done."""
        self._path.unlink(missing_ok=True)
