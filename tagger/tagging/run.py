"""The batch run: papers in, tagged papers out, resumable.

Finished batches are appended to a journal in the output folder. A run that was killed takes up
the journal of the one before, so no batch is tagged twice; the results are put in place only when
all of them are there, and then the journal goes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tagger import __version__
from tagger._util.arrays import Floats
from tagger._util.atomic import replacing
from tagger.errors import Problem, TaggerError
from tagger.model import Drift, DriftMeter, Progress, ReviewRule, TaggerModel, decide
from tagger.papers import (
    NearDuplicate,
    Paper,
    PaperCollection,
    PaperSpool,
    TaggedPaper,
    find_near_duplicates,
)
from tagger.tagging.journal import Journal
from tagger.tagging.writers import TAGS_FILE, Writer, choose_writers
from tagger.tagging.writers.jsonl import read_jsonl, write_jsonl
from tagger.tagging.writers.library import write_libraries
from tagger.tagging.writers.tally import Tally
from tagger.taxonomy import Taxonomy

NEAR_DUPLICATES_FILE = "near_duplicates.jsonl"
PROBLEMS_FILE = "problems.jsonl"
"""What could not be tagged, a line each: file, line, reason."""
JOURNAL_FILE = ".tags.journal.jsonl"
_BATCH_SIZE = 64


@dataclass(frozen=True, slots=True)
class TagRun:
    """What a run did: the numbers of papers tagged and to review, those of each facet and tag, ...

    ``drift`` tells how far the papers are from those that the model was trained on; None if there
    are no papers, or if it was trained on none.
    """

    folder: Path
    papers: int
    to_review: int
    problems: tuple[Problem, ...]
    counts: dict[str, Counter[str]]
    near_duplicates: list[NearDuplicate]
    files: tuple[Path, ...]
    drift: Drift | None

    def tagged(self) -> Iterator[TaggedPaper]:
        """Yield the tagged papers, a line of ``tags.jsonl`` at a time."""
        return read_jsonl(self.folder / TAGS_FILE)


def check_output(
    folder: Path, formats: Iterable[str] = (), inputs: Iterable[Path] = ()
) -> list[Writer]:
    """Return what writes the results, none of which replaces what was given to read."""
    writers = choose_writers(formats)
    if folder.exists() and not folder.is_dir():
        raise TaggerError("is a file, not a folder", path=folder, hint="Name another --output")
    for writer in writers:
        writer.check(folder / writer.target)
    given = [path for path in inputs if path.exists()]
    targets = [writer.target for writer in writers]
    for name in (*targets, NEAR_DUPLICATES_FILE, PROBLEMS_FILE, JOURNAL_FILE):
        target = folder / name
        for path in given:
            above = path.resolve().parents
            if target.exists() and (target.samefile(path) or target.resolve() in above):
                raise TaggerError(
                    "is to be read, and the results would take its place",
                    path=path,
                    hint="Name another --output",
                )
    return writers


def tag_papers(
    papers: Iterable[Paper],
    model: TaggerModel,
    folder: Path,
    rule: ReviewRule,
    progress: Progress | None = None,
    formats: Iterable[str] = (),
    read: PaperCollection | None = None,
    finishing: Progress | None = None,
    problems: Iterable[TaggerError] = (),
) -> TagRun:
    """Tag papers and write the results to ``folder``.

    The same papers and model give the same results, but for the time of the run, whether or not it
    was interrupted and whether vectors are computed or come from a cache. A paper that cannot be
    tagged costs the others nothing.

    Parameters
    ----------
    papers:
        Papers of different identity. If they are no sequence, they are put into a temporary file.
    folder:
        Where ``tags.jsonl``, ``tags.csv``, ``near_duplicates.jsonl`` and, if there are problems,
        ``problems.jsonl`` go; made if missing.
    progress:
        Called with papers done and papers in all.
    formats:
        Names of :data:`tagger.tagging.writers.WRITERS` to write beside ``tags.jsonl`` and
        ``tags.csv``.
    read:
        The files whose entries, merged, are the papers. None of them is replaced, and libraries
        among them are given back with the tags, see
        :func:`tagger.tagging.writers.library.write_libraries`.
    finishing:
        Called with steps done and steps in all, once all papers are tagged: the search for near
        duplicates is one, and so is each form of the results.
    problems:
        What could not be read, to be listed with what cannot be tagged.

    Raises
    ------
    TaggerError
        As :func:`check_output` does, or if the folder, or that for temporary files, cannot be
        written to.
    """
    inputs = [file.source.path for file in read.files] if read else []
    writers = check_output(folder, formats, inputs)
    if not isinstance(papers, Sequence):
        papers = PaperSpool(papers)
    journal = Journal(folder / JOURNAL_FILE)
    meter = DriftMeter(model.reference, model.taxonomy, rule) if model.reference.ids else None
    tally = Tally()
    keys, count = [], 0
    all_problems = [Problem.of(error) for error in problems]
    remaining = iter(papers)
    while batch := list(islice(remaining, _BATCH_SIZE)):
        keys.append(_batch_key(batch, model, rule))
        entry = journal.read(keys[-1])
        if entry is None:
            entry = tag_batch(batch, model, rule).as_json()
            journal.append(keys[-1], entry)
        done = TaggedBatch.of_json(entry)
        tagged = [paper for paper in done.papers if paper]
        for paper in tagged:
            tally.add(paper)
        all_problems += done.problems
        if meter and tagged:
            meter.add(np.array(done.similarity), _probabilities(tagged, model.taxonomy))
        count += len(batch)
        if progress:
            progress(count, len(papers))
    steps = len(writers) + 2
    report = finishing or (lambda _done, _total: None)
    report(0, steps)
    near_duplicates = find_near_duplicates(papers)
    time = datetime.now(UTC)

    def results() -> Iterator[TaggedPaper | None]:
        for key in keys:
            for paper in TaggedBatch.of_json(journal.read(key) or {}).papers:
                yield paper and replace(paper, time=time)

    for step, writer in enumerate(writers, start=1):
        report(step, steps)
        writer.write(filter(None, results()), model.taxonomy, folder / writer.target)
    report(steps - 1, steps)
    files = [folder / name for name in (*(w.target for w in writers), NEAR_DUPLICATES_FILE)]
    with replacing(files[-1]) as file:
        write_jsonl(map(asdict, near_duplicates), file)
    write_problems(folder / PROBLEMS_FILE, all_problems)
    if read:
        tags = (paper.tags if paper else {} for paper in results())
        files += write_libraries(read, tags, model.taxonomy, folder, files)
    if all_problems:
        files.append(folder / PROBLEMS_FILE)
    journal.remove()
    report(steps, steps)
    return TagRun(
        folder,
        tally.papers,
        tally.to_review,
        tuple(all_problems),
        tally.tags,
        near_duplicates,
        tuple(files),
        meter.drift() if meter and tally.papers else None,
    )


def write_problems(path: Path, problems: Sequence[Problem]) -> None:
    """List problems in a file, a line each; without any there is no such file."""
    if not problems:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as file:
        for problem in problems:
            # JSON may hold halves of surrogate pairs, which no file can be written with.
            line = json.dumps(asdict(problem), ensure_ascii=False).encode("utf-8", "replace")
            file.write(line.decode() + "\n")


@dataclass(frozen=True, slots=True)
class TaggedBatch:
    """Papers with their tags, or None, and how familiar each that has tags is to the model."""

    papers: list[TaggedPaper | None]
    similarity: list[float]
    problems: list[Problem]

    def as_json(self) -> dict[str, Any]:
        """Return what :meth:`of_json` reads."""
        return {
            "rows": [paper and paper.as_row() for paper in self.papers],
            "similarity": self.similarity,
            "problems": [asdict(problem) for problem in self.problems],
        }

    @classmethod
    def of_json(cls, entry: dict[str, Any]) -> TaggedBatch:
        """Return the batch of an entry of the journal."""
        problems = [Problem(**problem) for problem in entry.get("problems", ())]
        papers = [row and TaggedPaper.from_row(row) for row in entry["rows"]]
        return cls(papers, entry["similarity"], problems)


def tag_batch(papers: Sequence[Paper], model: TaggerModel, rule: ReviewRule) -> TaggedBatch:
    """Tag papers in memory; what is said of one does not depend on the others.

    What tagging raises is a problem of the paper, unless it does so for each of several.
    """
    try:
        said = model.predict(papers)
        decisions = decide(papers, said.probabilities, model.taxonomy, model.name, rule)
        similarity = model.reference.similarity_of(said.vectors)
    except TaggerError:
        raise
    except Exception as error:  # whatever a text makes a library raise
        if len(papers) == 1:
            problem = untaggable(papers[0], f"{type(error).__name__}: {error}")
            return TaggedBatch([None], [], [problem])
        each = [tag_batch([paper], model, rule) for paper in papers]
        if all(one.problems for one in each):
            raise
        return TaggedBatch(
            [paper for one in each for paper in one.papers],
            [value for one in each for value in one.similarity],
            [problem for one in each for problem in one.problems],
        )
    return TaggedBatch([*decisions], [float(value) for value in similarity], [])


def untaggable(paper: Paper, reason: str) -> Problem:
    """Return the problem of a paper that cannot be tagged."""
    source = paper.sources[0] if paper.sources else None
    return Problem(source, None, f"'{paper.title[:100]}' cannot be tagged ({reason})")


def _probabilities(papers: Sequence[TaggedPaper], taxonomy: Taxonomy) -> dict[str, Floats]:
    """Return the confidences of papers, per facet in the order of its tags."""
    return {
        facet.name: np.array(
            [[paper.confidence[facet.name][tag] for tag in facet.tag_names] for paper in papers]
        )
        for facet in taxonomy.facets
    }


def _batch_key(batch: Sequence[Paper], model: TaggerModel, rule: ReviewRule) -> str:
    content = [
        __version__,  # another may read the same papers otherwise
        model.name,
        model.digest,
        model.effort,
        asdict(rule),
        [asdict(paper) for paper in batch],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
