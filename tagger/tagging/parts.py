"""Tag shards of papers. The results of a shard and their receipt are one file, called a part.

A part is written under a temporary name and then renamed. A shard is therefore done if and only if
its part exists and belongs to this run. This is how an interrupted run resumes, on any engine.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from tagger._util.arrays import Floats
from tagger._util.atomic import cannot_write, replacing, replacing_bytes
from tagger.errors import Problem, TaggerError
from tagger.model import DriftCounts, ReviewRule, TaggerModel, count_drift
from tagger.papers import Paper, TaggedPaper
from tagger.tagging.batch import tag_batch, untaggable
from tagger.tagging.writers.arrow import write_parquet
from tagger.taxonomy import Taxonomy

MOST_DEATHS = 2
"""Number of workers that may die while they tag one paper alone, before it is given up."""
_MOST_STARTS = 8
"""Number of workers that may die while they load the model, before the run fails."""
_KEY = b"tagger.receipt"


class Receipt(BaseModel):
    """Summary of the results of a shard.

    ``run`` is the fingerprint of the run, ``papers`` the number of tagged papers, ``counts`` the
    number of papers by facet and tag. ``untagged`` has the indices in the shard of the papers that
    cannot be tagged. ``drift`` is None if no paper was tagged or the model has no training set.
    """

    run: str
    papers: int
    to_review: int
    counts: dict[str, Counter[str]]
    problems: list[Problem]
    untagged: list[int]
    drift: DriftCounts | None


def read_receipt(path: Path, run: str) -> Receipt | None:
    """Return the receipt of a part, or None if the part is missing, damaged or of another run."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            footer = pq.read_metadata(path)
            receipt = Receipt.model_validate_json((footer.metadata or {}).get(_KEY, b""))
            if footer.num_rows != receipt.papers:
                return None
        else:
            with path.open(encoding="utf-8") as file:
                receipt = Receipt.model_validate_json(file.readline())
    except Exception:  # of Arrow or pydantic; the shard is then tagged again
        return None
    return receipt if receipt.run == run else None


def read_part(path: Path) -> Iterator[TaggedPaper]:
    """Yield the tagged papers of a part."""
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
        with replacing_bytes(path) as raw:
            write_parquet(papers, taxonomy, raw, {_KEY: receipt.model_dump_json()})
        return
    with replacing(path) as text:
        text.write(receipt.model_dump_json() + "\n")
        for paper in papers:
            text.write(json.dumps(paper.as_row()) + "\n")


@dataclass
class ShardTagger:
    """Tags the shards of papers, and writes the results of each shard into a part.

    ``run`` is the fingerprint of the run. Parts go into ``folder`` and end in ``suffix``. The model
    is loaded once, when the first shard needs it. ``attempts`` is the folder for :class:`Attempts`.
    """

    run: str
    papers: Sequence[Paper]
    load: Callable[[], TaggerModel]
    rule: ReviewRule
    folder: Path
    suffix: str
    attempts: Path
    shard_size: int
    batch_size: int
    _model: TaggerModel | None = field(default=None, init=False, repr=False)

    @property
    def shards(self) -> range:
        """The numbers of all shards, from 0."""
        return range(-(-len(self.papers) // self.shard_size))

    def indices(self, number: int) -> range:
        """Return the indices of the papers of a shard."""
        return range(len(self.papers))[number * self.shard_size :][: self.shard_size]

    def part(self, number: int) -> Path:
        """Return the path of the part of a shard."""
        return self.folder / f"part-{number:06d}{self.suffix}"

    def receipt(self, number: int) -> Receipt | None:
        """Return the receipt of a shard if it is done, with every paper accounted for."""
        receipt = read_receipt(self.part(number), self.run)
        size = len(self.indices(number))
        return receipt if receipt and receipt.papers + len(receipt.untagged) == size else None

    def __call__(self, number: int) -> int:
        """Tag a shard, unless it is done; return its number of papers.

        Raises a TaggerError if the model cannot be loaded, or the part cannot be written.
        """
        if not self.receipt(number):
            attempts = Attempts(self.attempts / f"{number:06d}.json")
            try:
                if self._model is None:
                    attempts.begin(0, 0)
                    self._model = self.load()
                self._tag(number, attempts, self._model)
            except (KeyboardInterrupt, TaggerError):
                # On a full disk, even this may not be written.
                with suppress(TaggerError):
                    attempts.withdraw()
                raise
        return len(self.indices(number))

    def _tag(self, number: int, attempts: Attempts, model: TaggerModel) -> None:
        papers, similarity = list[TaggedPaper](), list[float]()
        problems, untagged = list[Problem](), list[int]()
        for start, batch in self._batches(number, attempts):
            if start in attempts.given_up:
                reason = f"{MOST_DEATHS} workers died while they tagged it alone"
                problems.append(untaggable(batch[0], reason))
                untagged.append(start)
                continue
            tagged = tag_batch(batch, model, self.rule)
            problems += tagged.problems
            similarity += tagged.similarity
            for index, paper in enumerate(tagged.papers, start):
                if paper is None:
                    untagged.append(index)
                else:
                    papers.append(paper)
        drift = None
        if papers and model.reference.ids:
            drift = count_drift(
                np.array(similarity),
                _probabilities(papers, model.taxonomy),
                model.reference,
                model.taxonomy,
                self.rule,
            )
        receipt = Receipt(
            run=self.run,
            papers=len(papers),
            to_review=sum(paper.review is not None for paper in papers),
            counts={
                facet.name: Counter(tag for paper in papers for tag in paper.tags[facet.name])
                for facet in model.taxonomy.facets
            },
            problems=problems,
            untagged=untagged,
            drift=drift,
        )
        _write_part(self.part(number), receipt, papers, model.taxonomy)

    def _batches(self, number: int, attempts: Attempts) -> Iterator[tuple[int, Sequence[Paper]]]:
        """Yield batches of papers to tag, each after the index of its first paper in the shard."""
        papers = self.papers[self.indices(number).start : self.indices(number).stop]
        # Papers of a batch at which a worker died are tagged one by one.
        alone = {*range(attempts.start, attempts.stop), *attempts.given_up}
        start = 0
        while start < len(papers):
            stop = start + 1
            if start not in alone:
                last = min(start + self.batch_size, len(papers))
                stop = next((index for index in range(stop, last) if index in alone), last)
            if start not in attempts.given_up:
                attempts.begin(start, stop)
            yield start, papers[start:stop]
            start = stop


def _probabilities(papers: Sequence[TaggedPaper], taxonomy: Taxonomy) -> dict[str, Floats]:
    """Return the confidences of papers per facet, shape (papers, tags)."""
    return {
        facet.name: np.array(
            [[paper.confidence[facet.name][tag] for tag in facet.tag_names] for paper in papers]
        )
        for facet in taxonomy.facets
    }


class Attempts:
    """A file that records which papers of a shard a worker is tagging, in case the worker dies.

    Its successor tags the papers from ``start`` to before ``stop`` one by one, and skips those in
    ``given_up``, at which :data:`MOST_DEATHS` workers died. ``deaths`` counts all workers that died
    at the shard. A missing or damaged file counts as no deaths. Raises a TaggerError if
    :data:`_MOST_STARTS` workers died while they loaded the model.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = self.stop = self._here = self.deaths = 0
        self.given_up: set[int] = set()
        self._found = ""
        try:
            self._found = path.read_text(encoding="utf-8")
            (start, stop, here, deaths), given_up = json.loads(self._found)
        except (OSError, ValueError, TypeError):
            return
        self.start, self.stop, self._here, self.deaths = start, stop, here + 1, deaths + 1
        self.given_up = set(given_up)
        if stop - start == 1 and self._here >= MOST_DEATHS:
            self.given_up.add(start)
        if start == stop and self._here >= _MOST_STARTS:
            # The next run may have more memory.
            path.unlink(missing_ok=True)
            raise TaggerError(
                f"{self._here} workers died while they loaded the model",
                hint="Give the workers more memory, or use fewer of them",
            )

    def begin(self, start: int, stop: int) -> None:
        """Record that the papers from ``start`` to before ``stop`` are being tagged now.

        Raises a TaggerError if the file cannot be written.
        """
        here = self._here if (start, stop) == (self.start, self.stop) else 0
        self._write(json.dumps([[start, stop, here, self.deaths], sorted(self.given_up)]))

    def withdraw(self) -> None:
        """Write what was found at the start: the worker did not die, it was stopped."""
        self._write(self._found)

    def _write(self, note: str) -> None:
        new = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(note, encoding="utf-8")
            new.replace(self.path)
        except OSError as error:
            raise cannot_write(self.path, error) from error


def count_deaths(folder: Path) -> int:
    """Return the number of workers that died, from the files of :class:`Attempts` in a folder."""
    deaths = 0
    for path in folder.glob("*.json"):
        with suppress(OSError, ValueError, TypeError, IndexError):
            deaths += json.loads(path.read_text(encoding="utf-8"))[0][3]
    return deaths
