"""A shard of papers, tagged into one file, which says itself what was counted when it was made.

A part is put in place in one step when all of it is written. So a shard is done if and only if its
part is there and is of this run: this is how a run that was stopped goes on, on any engine.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from tagger._util.arrays import Floats
from tagger._util.atomic import cannot_write, replacing, replacing_bytes
from tagger.errors import Problem, TaggerError
from tagger.model import DriftCounts, ReviewRule, TaggerModel, count_drift
from tagger.papers import Paper, TaggedPaper
from tagger.tagging.batch import tag_batch, untaggable
from tagger.tagging.writers.arrow import arrow_schema, arrow_tables
from tagger.tagging.writers.tally import Tally
from tagger.taxonomy import Taxonomy

MOST_DEATHS = 2
"""Workers that may die at one paper alone before it is given up."""
_MOST_STARTS = 8
"""Workers that may die at one shard before they read a paper: then it is not a paper's fault."""
_KEY = b"tagger.receipt"


class Receipt(BaseModel):
    """What became of the papers of a shard, by the run with the fingerprint ``run``.

    ``untagged`` are the places in the shard of the papers that have no tags.
    """

    run: str
    papers: int
    to_review: int
    counts: dict[str, Counter[str]]
    problems: list[Problem]
    untagged: list[int]
    drift: DriftCounts | None


def read_receipt(path: Path, run: str) -> Receipt | None:
    """Return the receipt of a part; None if there is no whole part of this run."""
    try:
        if path.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            try:
                footer = pq.read_metadata(path)
            except pa.ArrowException:
                return None
            receipt = Receipt.model_validate_json((footer.metadata or {}).get(_KEY, b""))
            whole = footer.num_rows == receipt.papers
        else:
            with path.open(encoding="utf-8") as file:
                receipt = Receipt.model_validate_json(file.readline())
            whole = True
    except (OSError, ValidationError, UnicodeDecodeError):
        return None
    return receipt if whole and receipt.run == run else None


def read_part(path: Path) -> Iterator[TaggedPaper]:
    """Yield the papers of a part."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches():
                yield from map(TaggedPaper.from_row, batch.to_pylist())
        return
    with path.open(encoding="utf-8", newline="\n") as file:
        next(file)
        yield from map(TaggedPaper.from_row, map(json.loads, file))


def _write_part(
    path: Path, receipt: Receipt, papers: Sequence[TaggedPaper], taxonomy: Taxonomy
) -> None:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with (
            replacing_bytes(path) as raw,
            pq.ParquetWriter(raw, arrow_schema(taxonomy)) as writer,
        ):
            for table in arrow_tables(papers, taxonomy):
                writer.write_table(table)
            writer.add_key_value_metadata({_KEY: receipt.model_dump_json()})
        return
    with replacing(path) as text:
        text.write(receipt.model_dump_json() + "\n")
        for paper in papers:
            text.write(json.dumps(paper.as_row()) + "\n")


@dataclass
class ShardTagger:
    """Tags shards of papers, the shard of a number into the part of this number.

    The model is loaded once, when the first shard needs it. ``notes`` is a folder for what a worker
    leaves to the one that comes after it if it dies.
    """

    run: str
    papers: Sequence[Paper]
    load: Callable[[], TaggerModel]
    rule: ReviewRule
    folder: Path
    suffix: str
    notes: Path
    shard_size: int
    batch_size: int
    _model: TaggerModel | None = field(default=None, init=False, repr=False)

    @property
    def shards(self) -> range:
        """The numbers of all shards."""
        return range(-(-len(self.papers) // self.shard_size))

    def places(self, number: int) -> range:
        """Return the places of the papers of a shard."""
        return range(len(self.papers))[number * self.shard_size :][: self.shard_size]

    def part(self, number: int) -> Path:
        """Return where the results of a shard go."""
        return self.folder / f"part-{number:06d}{self.suffix}"

    def receipt(self, number: int) -> Receipt | None:
        """Return the receipt of a shard that is done, every paper accounted for."""
        receipt = read_receipt(self.part(number), self.run)
        size = len(self.places(number))
        return receipt if receipt and receipt.papers + len(receipt.untagged) == size else None

    def __call__(self, number: int) -> int:
        """Tag a shard, unless that was done; return its number of papers."""
        if not self.receipt(number):
            attempts = Attempts(self.notes / f"{number:06d}.json")
            if self._model is None:
                attempts.begin(0, 0)
                self._model = self.load()
            self._tag(number, attempts, self._model)
        return len(self.places(number))

    def _tag(self, number: int, attempts: Attempts, model: TaggerModel) -> None:
        papers, tally = list[TaggedPaper](), Tally()
        problems, untagged, similarity = list[Problem](), list[int](), list[float]()
        for start, batch in self._batches(number, attempts):
            if start in attempts.given_up:
                reason = f"{MOST_DEATHS} workers died while they tagged it alone"
                problems.append(untaggable(batch[0], reason))
                untagged.append(start)
                continue
            done = tag_batch(batch, model, self.rule)
            problems += done.problems
            similarity += done.similarity
            for place, paper in enumerate(done.papers, start):
                if paper is None:
                    untagged.append(place)
                else:
                    papers.append(paper)
                    tally.add(paper)
        drift = None
        if papers and model.reference.ids:
            known = _probabilities(papers, model.taxonomy)
            near = np.array(similarity)
            drift = count_drift(near, known, model.reference, model.taxonomy, self.rule)
        receipt = Receipt(
            run=self.run,
            papers=tally.papers,
            to_review=tally.to_review,
            counts=tally.tags,
            problems=problems,
            untagged=untagged,
            drift=drift,
        )
        _write_part(self.part(number), receipt, papers, model.taxonomy)

    def _batches(self, number: int, attempts: Attempts) -> Iterator[tuple[int, Sequence[Paper]]]:
        """Yield papers to tag together with the place of the first of them in the shard."""
        papers = self.papers[self.places(number).start : self.places(number).stop]
        # Those at which a worker died are tagged alone, and what follows begins a batch.
        alone = {*range(attempts.start, attempts.stop), *attempts.given_up}
        start = 0
        while start < len(papers):
            stop = start + 1
            if start not in alone:
                last = min(start + self.batch_size, len(papers))
                stop = next((place for place in range(stop, last) if place in alone), last)
            if start not in attempts.given_up:
                attempts.begin(start, stop)
            yield start, papers[start:stop]
            start = stop


def _probabilities(papers: Sequence[TaggedPaper], taxonomy: Taxonomy) -> dict[str, Floats]:
    """Return the confidences of papers, per facet in the order of its tags."""
    return {
        facet.name: np.array(
            [[paper.confidence[facet.name][tag] for tag in facet.tag_names] for paper in papers]
        )
        for facet in taxonomy.facets
    }


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
        if start == stop and self._here >= _MOST_STARTS:
            raise TaggerError(f"{self._here} workers died while they loaded the model")

    def begin(self, start: int, stop: int) -> None:
        """Note that the papers from ``start`` to before ``stop`` are being tagged now."""
        here = self._here if (start, stop) == (self.start, self.stop) else 0
        note = [[start, stop, here, self.deaths], sorted(self.given_up)]
        new = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(note), encoding="utf-8")
            new.replace(self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from error


def count_deaths(notes: Path) -> int:
    """Return how many workers died, by the notes that are left."""
    deaths = 0
    for path in notes.glob("*.json"):
        with suppress(OSError, ValueError, TypeError, IndexError):
            deaths += json.loads(path.read_text(encoding="utf-8"))[0][3]
    return deaths
