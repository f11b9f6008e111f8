"""The batch run: papers in, tagged papers out, resumable.

Finished batches are appended to a journal in the output folder. A run that was killed takes up
the journal of the one before, so no batch is tagged twice; the results are put in place only when
all of them are there, and then the journal goes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tagger.decision import ReviewRule, decide
from tagger.drift import Drift, measure_drift
from tagger.durable import append_line, replacing
from tagger.encoder import Progress
from tagger.errors import TaggerError
from tagger.model import TaggerModel
from tagger.paper import NearDuplicate, Paper, find_near_duplicates
from tagger.readers import PaperFile
from tagger.writers import Writer, choose_writers
from tagger.writers.jsonl import write_jsonl
from tagger.writers.library import write_libraries

NEAR_DUPLICATES_FILE = "near_duplicates.jsonl"
JOURNAL_FILE = ".tags.journal.jsonl"
_BATCH_SIZE = 64

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TagRun:
    """What a run did.

    Parameters
    ----------
    rows:
        The tagged papers, as in ``tags.jsonl``.
    near_duplicates:
        Pairs that look like versions of one study.
    files:
        What was written.
    drift:
        How far the papers are from those that the model was trained on; None if there are no
        papers, or if it was trained on none.
    """

    rows: list[Row]
    near_duplicates: list[NearDuplicate]
    files: tuple[Path, ...]
    drift: Drift | None

    @property
    def to_review(self) -> int:
        """Number of papers that a person should look at."""
        return sum(row["review"] is not None for row in self.rows)

    def counts(self) -> dict[str, Counter[str]]:
        """Number of papers per facet and tag."""
        counts: dict[str, Counter[str]] = {}
        for row in self.rows:
            for facet, tags in row["tags"].items():
                counts.setdefault(facet, Counter()).update(tags)
        return counts


def check_output(
    folder: Path, formats: Iterable[str] = (), inputs: Iterable[Path] = ()
) -> list[Writer]:
    """Make sure that results can go to a folder and none of them replaces what was given to read.

    Parameters
    ----------
    folder, formats:
        As for :func:`tag_papers`.
    inputs:
        The files and folders that papers are read from.

    Returns
    -------
    list of Writer
        What writes the results.

    Raises
    ------
    TaggerError
        If there is no such format, the folder is a file, or what stands in it must not be replaced.
    """
    writers = choose_writers(formats)
    if folder.exists() and not folder.is_dir():
        raise TaggerError("is a file, not a folder", path=folder, hint="Name another --output")
    for writer in writers:
        writer.check(folder / writer.target)
    given = [path for path in inputs if path.exists()]
    for name in (*(writer.target for writer in writers), NEAR_DUPLICATES_FILE, JOURNAL_FILE):
        target = folder / name
        for path in given:
            if target.exists() and (
                target.samefile(path) or target.resolve() in path.resolve().parents
            ):
                raise TaggerError(
                    "is to be read, and the results would take its place",
                    path=path,
                    hint="Name another --output",
                )
    return writers


def tag_papers(
    papers: Sequence[Paper],
    model: TaggerModel,
    folder: Path,
    rule: ReviewRule,
    progress: Progress | None = None,
    formats: Iterable[str] = (),
    read: Sequence[PaperFile] = (),
) -> TagRun:
    """Tag papers and write the results to ``folder``.

    The same papers and model give the same bytes, whether or not the run was interrupted and
    whether vectors are computed or come from a cache.

    Parameters
    ----------
    papers:
        Papers of different identity.
    model:
        What tags them.
    folder:
        Where ``tags.jsonl``, ``tags.csv`` and ``near_duplicates.jsonl`` go; made if missing.
    rule:
        When a paper goes to review.
    progress:
        Called with papers done and papers in all.
    formats:
        Names of :data:`tagger.writers.WRITERS` to write beside ``tags.jsonl`` and ``tags.csv``.
    read:
        The files whose entries, merged, are the papers. None of them is replaced, and libraries
        among them are given back with the tags, see :func:`tagger.writers.library.write_libraries`.

    Raises
    ------
    TaggerError
        As :func:`check_output` does, or if the folder cannot be written to.
    """
    writers = check_output(folder, formats, [file.source.path for file in read])
    journal = folder / JOURNAL_FILE
    finished = _read_journal(journal)
    rows: list[Row] = []
    familiarity: list[float] = []
    for start in range(0, len(papers), _BATCH_SIZE):
        batch = papers[start : start + _BATCH_SIZE]
        key = _batch_key(batch, model, rule)
        done = finished.get(key)
        if done is None:
            done = tag_batch(batch, model, rule)
            append_line(journal, json.dumps({"batch": key, **asdict(done)}, ensure_ascii=False))
        rows += done.rows
        familiarity += done.familiarity
        if progress:
            progress(len(rows), len(papers))
    near_duplicates = find_near_duplicates(papers)
    for writer in writers:
        writer.write(rows, model.taxonomy, folder / writer.target)
    files = tuple(folder / name for name in (*(w.target for w in writers), NEAR_DUPLICATES_FILE))
    with replacing(files[-1]) as file:
        write_jsonl(map(_near_duplicate_row, near_duplicates), file)
    libraries = write_libraries(read, rows, model.taxonomy, folder, files)
    journal.unlink(missing_ok=True)
    return TagRun(
        rows, near_duplicates, (*files, *libraries), _drift(rows, familiarity, model, rule)
    )


@dataclass(frozen=True, slots=True)
class TaggedBatch:
    """What is said of some papers, in their order.

    Parameters
    ----------
    rows:
        As in ``tags.jsonl``.
    familiarity:
        How near each paper is to those that the model was trained on.
    """

    rows: list[Row]
    familiarity: list[float]


def tag_batch(papers: Sequence[Paper], model: TaggerModel, rule: ReviewRule) -> TaggedBatch:
    """Tag papers in memory; what is said of one does not depend on the others.

    Parameters
    ----------
    papers, model, rule:
        As for :func:`tag_papers`.
    """
    said = model.predict(papers)
    decisions = decide(papers, said.probabilities, model.taxonomy, model.name, rule)
    return TaggedBatch(
        [decision.as_row() for decision in decisions],
        [float(near) for near in model.reference.familiarity_of(said.vectors)],
    )


def _drift(
    rows: list[Row], familiarity: list[float], model: TaggerModel, rule: ReviewRule
) -> Drift | None:
    if not rows or not model.reference.ids:
        return None
    chances = {
        facet.name: np.array(
            [[row["confidence"][facet.name][tag] for tag in facet.tag_names] for row in rows]
        )
        for facet in model.taxonomy.facets
    }
    return measure_drift(np.array(familiarity), chances, model.reference, model.taxonomy, rule)


def _near_duplicate_row(pair: NearDuplicate) -> Row:
    return {
        "ids": [pair.first.id, pair.second.id],
        "titles": [pair.first.title, pair.second.title],
        "similarity": pair.similarity,
    }


def _batch_key(batch: Sequence[Paper], model: TaggerModel, rule: ReviewRule) -> str:
    content = [
        model.name,
        model.digest,
        model.effort,
        asdict(rule),
        [asdict(paper) for paper in batch],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _read_journal(path: Path) -> dict[str, TaggedBatch]:
    """Return the finished batches; a last line that a kill cut short is not one."""
    finished: dict[str, TaggedBatch] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                    finished[entry["batch"]] = TaggedBatch(entry["rows"], entry["familiarity"])
                except (ValueError, KeyError, TypeError):
                    continue
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise TaggerError(
            "the journal of an earlier run cannot be read",
            path=path,
            hint="Delete it to start afresh",
        ) from error
    return finished
