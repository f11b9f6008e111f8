"""The batch run: papers are read, merged, tagged and written, here or on a cluster.

Every step leaves files in a work folder of the output that is named by the fingerprint of what they
are made of, and what is there is not made again. So after any failure the same command goes on
where the last one stopped, and nothing is lost or there twice.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tagger import __version__
from tagger._util.atomic import cannot_write, exclusively, replacing
from tagger._util.progress import Progress, no_progress
from tagger.errors import Problem, TaggerError
from tagger.model import ENCODING, Drift, DriftCounts, ReviewRule, TaggerModel, drift_of
from tagger.papers import (
    NearDuplicate,
    Paper,
    PaperCollection,
    PaperSpool,
    TaggedPaper,
    collect_papers,
    find_near_duplicates,
)
from tagger.papers.readers.source import STANDARD_INPUT
from tagger.papers.readers.storage import find_files
from tagger.tagging.engine import Engine, LocalEngine
from tagger.tagging.parts import Receipt, ShardTagger, count_deaths, read_part
from tagger.tagging.writers import TAGS_FILE, Writer, choose_writers
from tagger.tagging.writers.jsonl import read_jsonl, write_jsonl
from tagger.tagging.writers.library import write_libraries

NEAR_DUPLICATES_FILE = "near_duplicates.jsonl"
PROBLEMS_FILE = "problems.jsonl"
"""What could not be tagged, a line each: file, line, reason."""
MANIFEST_FILE = "manifest.json"
"""What came in and what came out."""
PARTS_FOLDER = "tags"
WORK_FOLDER = ".work"


@dataclass(frozen=True, slots=True)
class TagRun:
    """What a run did.

    ``rows`` came in: of these ``papers`` were tagged, ``merged`` are more entries of such a paper,
    and each other one is among ``problems``. ``counts`` has the papers of each facet and tag.
    ``drift`` tells how far the papers are from those that the model was trained on; None if there
    are no papers, or if it was trained on none. ``shards_before`` had been tagged when the run
    began, ``worker_deaths`` counts workers that died at a paper, and ``failures`` how often the
    engine had to be started anew.
    """

    folder: Path
    rows: int
    papers: int
    merged: int
    to_review: int
    problems: tuple[Problem, ...]
    counts: dict[str, Counter[str]]
    near_duplicates: list[NearDuplicate]
    files: tuple[Path, ...]
    drift: Drift | None
    shards: int
    shards_before: int
    worker_deaths: int
    failures: int

    def tagged(self) -> Iterator[TaggedPaper]:
        """Yield the tagged papers."""
        if (self.folder / TAGS_FILE) in self.files:
            yield from read_jsonl(self.folder / TAGS_FILE)
            return
        for part in sorted((self.folder / PARTS_FOLDER).iterdir()):
            yield from read_part(part)


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
    others = (NEAR_DUPLICATES_FILE, PROBLEMS_FILE, MANIFEST_FILE, PARTS_FOLDER, WORK_FOLDER)
    for name in (*targets, *others):
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


def read_for_run(
    places: Sequence[str],
    on_error: Callable[[TaggerError], None],
    *,
    folder: Path,
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
    engine: Engine | None = None,
) -> PaperCollection:
    """Read the papers of files, folders, patterns and URLs for a run with this output folder.

    Parameters are those of :func:`tagger.papers.collect_papers` and :func:`tag_papers`. With an
    engine, entries are kept in the output folder: what an earlier run into it has read is not read
    again, unless a file has changed since. This process reads into a temporary folder.
    """
    files = find_files(places)
    names = [file.place for file in files]
    if engine and STANDARD_INPUT in names:
        raise TaggerError("workers cannot read standard input", hint="Put it into a file first")
    work = None
    if engine:
        key = [__version__, format_name, dict(columns or {}), [*map(asdict, files)]]
        work = folder.absolute() / WORK_FOLDER / f"read-{_fingerprint(key)[:16]}"
    return collect_papers(
        names,
        on_error,
        format_name=format_name,
        columns=columns,
        folder=work,
        each=(engine or LocalEngine()).each,
    )


def tag_papers(
    papers: Iterable[Paper],
    model: TaggerModel,
    folder: Path,
    rule: ReviewRule,
    *,
    read: PaperCollection | None = None,
    problems: Iterable[TaggerError] = (),
    formats: Iterable[str] = (),
    parts: bool = False,
    engine: Engine | None = None,
    progress: Progress = no_progress,
) -> TagRun:
    """Tag papers and write the results to ``folder``.

    The same papers and model give the same results, but for the time of the run, whatever the
    engine, whether or not it was interrupted, and whether vectors are computed or come from a
    cache. A paper that cannot be tagged costs the others nothing.

    Parameters
    ----------
    papers:
        Papers of different identity. If they are no sequence, they are put into a temporary file.
    folder:
        Where ``tags.jsonl``, ``tags.csv``, ``near_duplicates.jsonl``, ``manifest.json`` and, if
        there are problems, ``problems.jsonl`` go; made if missing.
    read:
        The files whose entries, merged, are the papers. None of them is replaced, and libraries
        among them are given back with the tags, see
        :func:`tagger.tagging.writers.library.write_libraries`.
    problems:
        What could not be read, to be listed with what cannot be tagged.
    formats:
        Names of :data:`tagger.tagging.writers.WRITERS` to write beside ``tags.jsonl`` and
        ``tags.csv``.
    parts:
        Write a Parquet file a shard, in a folder ``tags``, in place of all these and of libraries.
    engine:
        What does the work; by default this process.
    progress:
        Called with the stage, papers or steps done, and how many there are.

    Raises
    ------
    TaggerError
        As :func:`check_output` does, if the folder, or that for temporary files, cannot be
        written to, or holds parts of another run, or if at the end a row is not accounted for.
    """
    inputs = [file.source.path for file in read.files] if read else []
    writers = [] if parts else check_output(folder, formats, inputs)
    with exclusively(folder / TAGS_FILE):
        run = _Run(papers, model, folder, rule, engine or LocalEngine(), read, parts, progress)
        return run.finish(writers, [Problem.of(error) for error in problems])


class _Run:
    """One run: its papers, what tags their shards, and what is written of them."""

    def __init__(
        self,
        papers: Iterable[Paper],
        model: TaggerModel,
        folder: Path,
        rule: ReviewRule,
        engine: Engine,
        read: PaperCollection | None,
        parts: bool,
        progress: Progress,
    ) -> None:
        if not isinstance(papers, Sequence):
            papers = PaperSpool(papers)
        self.papers, self.model, self.folder, self.rule = papers, model, folder, rule
        self.engine, self.read, self.parts, self.progress = engine, read, parts, progress
        # Absolute, for workers that begin elsewhere.
        self.work = folder.absolute() / WORK_FOLDER
        run = self._key()
        self.tagger = ShardTagger(
            run,
            papers,
            engine.share(model, self.work / "model"),
            rule,
            folder.absolute() / PARTS_FOLDER if parts else self.work / f"tags-{run[:16]}",
            ".parquet" if parts else ".jsonl",
            self.work / f"notes-{run[:16]}",
            engine.shard_size,
            engine.batch_size,
        )

    def _key(self) -> str:
        """Return what tells this run from others: papers, model and settings."""
        if self.read and self.read.key:
            content = self.read.key
        else:
            # An interrupted run is taken up for the same papers, whatever file they are in now.
            content = _fingerprint(
                (p.title, p.abstract, p.sources, p.id, p.identifiers) for p in self.papers
            )
        settings = [self.model.name, self.model.digest, self.model.effort, asdict(self.rule)]
        engine = [self.engine.device, self.engine.shard_size]
        return _fingerprint([__version__, ENCODING, *settings, *engine, content])

    def finish(self, writers: Sequence[Writer], problems: list[Problem]) -> TagRun:
        """Tag, write everything, and take stock."""
        before = self._tag()
        counts = {facet.name: Counter[str]() for facet in self.model.taxonomy.facets}
        drift, sizes, to_review = DriftCounts(), list[int](), 0
        unread = len(problems)
        for receipt in self._receipts():
            sizes.append(receipt.papers)
            problems += receipt.problems
            to_review += receipt.to_review
            for name, numbers in receipt.counts.items():
                counts[name].update(numbers)
            if receipt.drift:
                drift.add(receipt.drift)
        entries = len(self.read.entries) if self.read else len(self.papers)
        reference, taxonomy = self.model.reference, self.model.taxonomy
        steps = len(writers) + 2
        self.progress("Writing results", 0, steps)
        near = self.work / f"near-{self.tagger.run[:16]}"
        pairs = find_near_duplicates(self.papers, folder=near, each=self.engine.each)
        files = self._write(writers, pairs, steps)
        if write_problems(self.folder / PROBLEMS_FILE, problems):
            files.append(self.folder / PROBLEMS_FILE)
        run = TagRun(
            folder=self.folder,
            rows=entries + unread,
            papers=sum(sizes),
            merged=entries - len(self.papers),
            to_review=to_review,
            problems=tuple(problems),
            counts=counts,
            near_duplicates=pairs,
            files=(*files, self.folder / MANIFEST_FILE),
            drift=drift_of(drift, reference, taxonomy, self.rule) if drift.papers else None,
            shards=len(sizes),
            shards_before=before,
            worker_deaths=count_deaths(self.tagger.notes),
            failures=self.engine.failures,
        )
        self._write_manifest(run, sizes)
        shutil.rmtree(self.work, ignore_errors=True)
        self.progress("Writing results", steps, steps)
        return run

    def _tag(self) -> int:
        """Tag all shards that are not done; return how many were."""
        done = {number for number in self.tagger.shards if self.tagger.receipt(number)}
        if self.parts:
            self._refuse_others(done)
        count = sum(len(self.tagger.places(number)) for number in done)
        left = [number for number in self.tagger.shards if number not in done]
        self.progress("Tagging", count, len(self.papers))
        for tagged in self.engine.each(self.tagger, left, holds_model=True):
            count += tagged
            self.progress("Tagging", count, len(self.papers))
        return len(done)

    def _refuse_others(self, done: set[int]) -> None:
        """Raise an error if the folder of parts holds anything that is not of this run."""
        parts = self.tagger.folder
        ours = {self.tagger.part(number) for number in self.tagger.shards} if done else set[Path]()
        try:
            parts.mkdir(parents=True, exist_ok=True)
            for path in sorted(parts.iterdir()):
                if path.name.startswith("."):
                    # What a worker that was killed left half written.
                    shutil.rmtree(path, ignore_errors=True)
                elif path not in ours:
                    hint = "Name another --output, or move it elsewhere"
                    raise TaggerError("is no part of this run", path=path, hint=hint)
        except OSError as error:
            raise cannot_write(parts, error) from error

    def _receipts(self) -> Iterator[Receipt]:
        """Yield the receipts of all shards; every paper is accounted for in them."""
        for number in self.tagger.shards:
            receipt = self.tagger.receipt(number)
            if receipt is None:
                raise TaggerError(
                    f"{len(self.tagger.places(number))} papers came in, and 0 are there",
                    path=self.tagger.part(number),
                    hint="All machines must see the output folder under one path",
                )
            yield receipt

    def _write(
        self, writers: Sequence[Writer], pairs: Sequence[NearDuplicate], steps: int
    ) -> list[Path]:
        """Write the results in all forms; return the files."""
        time, taxonomy = datetime.now(UTC), self.model.taxonomy
        for step, writer in enumerate(writers, start=1):
            self.progress("Writing results", step, steps)
            papers = (replace(paper, time=time) for paper in self._tagged() if paper)
            writer.write(papers, taxonomy, self.folder / writer.target)
        self.progress("Writing results", steps - 1, steps)
        files = [
            self.folder / name for name in (*(w.target for w in writers), NEAR_DUPLICATES_FILE)
        ]
        with replacing(files[-1]) as file:
            write_jsonl(map(asdict, pairs), file)
        if self.parts:
            return [self.folder / PARTS_FOLDER, *files]
        if self.read:
            tags = (paper.tags if paper else {} for paper in self._tagged())
            files += write_libraries(self.read, tags, taxonomy, self.folder, files)
        return files

    def _tagged(self) -> Iterator[TaggedPaper | None]:
        """Yield all papers in order, None for one that could not be tagged."""
        for number, receipt in zip(self.tagger.shards, self._receipts(), strict=True):
            tagged = read_part(self.tagger.part(number))
            untagged = set(receipt.untagged)
            for place in range(len(self.tagger.places(number))):
                yield None if place in untagged else next(tagged)

    def _write_manifest(self, run: TagRun, sizes: Sequence[int]) -> None:
        """Write down what came in and what came out."""
        manifest: dict[str, Any] = {"run": self.tagger.run, "model": self.model.name}
        manifest["taxonomy"] = self.model.taxonomy.version
        for name in ("rows", "papers", "merged", "to_review", "counts"):
            manifest[name] = getattr(run, name)
        manifest["problems"] = len(run.problems)
        if run.rows != run.papers + run.merged + len(run.problems):
            raise TaggerError(f"the rows that came in are not all accounted for: {manifest}")
        if self.parts:
            manifest["parts"] = {
                self.tagger.part(number).name: size for number, size in enumerate(sizes)
            }
        with replacing(self.folder / MANIFEST_FILE) as file:
            file.write(json.dumps(manifest, indent=1) + "\n")


def write_problems(path: Path, problems: Sequence[Problem]) -> bool:
    """List problems in a file, a line each; without any there is no such file."""
    if not problems:
        path.unlink(missing_ok=True)
        return False
    with replacing(path) as file:
        for problem in problems:
            # JSON may hold halves of surrogate pairs, which no file can be written with.
            line = json.dumps(asdict(problem), ensure_ascii=False).encode("utf-8", "replace")
            file.write(line.decode() + "\n")
    return True


def _fingerprint(content: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for each in content:
        digest.update(json.dumps(each).encode() + b"\n")
    return digest.hexdigest()
