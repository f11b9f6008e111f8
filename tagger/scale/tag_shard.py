"""Tag one shard: the loop that every engine runs on its workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tagger.decision import ReviewRule
from tagger.model import TaggerModel
from tagger.paper import Paper
from tagger.scale import dead_letters, parts
from tagger.scale.attempts import MOST_DEATHS, Attempts
from tagger.scale.dead_letters import DeadLetter, write_dead_letters
from tagger.scale.duplicates import papers_of
from tagger.scale.parts import Part, Receipt, read_receipt
from tagger.scale.shards import Shard
from tagger.tagged_paper import TaggedPaper
from tagger.tagging import tag_batch

BATCH_SIZES = {"cpu": 64, "cuda": 1024}
"""Papers tagged together, by what encodes."""


class _Placed(NamedTuple):
    """A paper, its place in the shard, and the line of the table that it stands at."""

    row: int
    line: int
    paper: Paper


def part_of(shard: Shard, folder: Path) -> Path:
    """Return where the result of a shard stands."""
    return folder / parts.FOLDER / f"part-{shard.label}.parquet"


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

    Parameters
    ----------
    shard:
        The shard.
    run:
        Fingerprint of the plan.
    folder:
        Where results go.
    work:
        The folder of what is left from step to step.
    model, rule:
        As for :func:`tagger.tagging.tag_batch`.
    batch_size:
        Papers tagged together.

    Raises
    ------
    TaggerError
        If the table cannot be read or a result cannot be written. What is wrong with one row is
        not raised, but kept as a dead letter.
    """
    path = part_of(shard, folder)
    done = read_receipt(path, run)
    if done:
        return done
    attempts = Attempts(work / "attempts" / f"{shard.label}.json")
    receipt = Receipt(run=run, shard=shard.number, rows=0)
    letters: list[DeadLetter] = []
    part = Part(model.taxonomy)
    for batch in _batches(shard, work, attempts, receipt, letters, batch_size):
        attempts.begin(batch[0].row, batch[-1].row + 1)
        said = _tag_each([placed.paper for placed in batch], model, rule)
        for placed, tagged in zip(batch, said, strict=True):
            if isinstance(tagged, str):
                letters.append(_dead(shard, placed, tagged))
            else:
                receipt.count(tagged)
                part.add(tagged)
    receipt.dead = len(letters)
    # The part comes last: where it is, everything is.
    write_dead_letters(folder / dead_letters.FOLDER / f"part-{shard.label}.jsonl", letters)
    part.write(path, receipt)
    attempts.end()
    return receipt


def _batches(
    shard: Shard,
    work: Path,
    attempts: Attempts,
    receipt: Receipt,
    letters: list[DeadLetter],
    size: int,
) -> Iterator[list[_Placed]]:
    """Yield papers to tag together; count and put aside what is none."""
    batch: list[_Placed] = []
    for number, (line, row) in enumerate(papers_of(shard, work)):
        receipt.rows += 1
        if row is None:
            receipt.merged += 1
        elif isinstance(row, DeadLetter):
            letters.append(row)
        elif attempts.is_given_up(number):
            reason = f"{MOST_DEATHS} workers died while they tagged it alone"
            letters.append(_dead(shard, _Placed(number, line, row), reason))
        elif attempts.is_suspect(number):
            if batch:
                yield batch
            yield [_Placed(number, line, row)]
            batch = []
        else:
            batch.append(_Placed(number, line, row))
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def _tag_each(
    papers: Sequence[Paper], model: TaggerModel, rule: ReviewRule
) -> list[TaggedPaper | str]:
    """Return each paper with its tags, or why it has none.

    Raises
    ------
    Exception
        What tagging raises, if it raises for each of several papers: then it is not their fault.
    """
    try:
        tagged = tag_batch(papers, model, rule).papers
        return [paper or "cannot be tagged" for paper in tagged]
    except Exception as error:  # whatever a text makes a library raise
        if len(papers) == 1:
            return [f"cannot be tagged ({type(error).__name__}: {error})"]
        said = [each for paper in papers for each in _tag_each([paper], model, rule)]
        if all(isinstance(each, str) for each in said):
            raise
        return said


def _dead(shard: Shard, placed: _Placed, reason: str) -> DeadLetter:
    paper = placed.paper
    given = {"title": paper.title, "abstract": paper.abstract, "identifiers": paper.identifiers}
    return DeadLetter(shard.table.place, placed.line, reason, given)
