"""The batch run: read, merge, tag and write papers, on this machine or on a cluster.

Each step writes files to a work folder in the output folder, named by the fingerprint of its
inputs, and skips files that exist. After any failure the same command therefore resumes where the
last one stopped, and no paper is lost or written twice.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tagger import __version__
from tagger._util.atomic import cannot_write, exclusively, replacing
from tagger._util.progress import Progress, no_progress
from tagger.errors import Problem, TaggerError
from tagger.model import ENCODING, Drift, DriftCounts, ReviewRule, TaggerModel, drift_of
from tagger.papers import (
    MANIFEST_FILE,
    NEAR_DUPLICATES_FILE,
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
from tagger.tagging.result_folder import (
    PARTS_FOLDER,
    PROBLEMS_FILE,
    WORK_FOLDER,
    check_output,
)
from tagger.tagging.writers import TAGS_FILE, Writer
from tagger.tagging.writers.jsonl import (
    ABSTRACTS_FILE,
    read_jsonl,
    write_abstracts,
    write_jsonl,
    write_problems,
)
from tagger.tagging.writers.keywords import write_with_keywords


@dataclass(frozen=True, slots=True)
class TagRun:
    """The results of a run.

    Of the ``rows`` that were read, ``papers`` were tagged, ``merged`` are duplicates of these, and
    the others are ``problems``. ``counts`` has the number of papers by facet and tag. ``drift``
    compares the papers with the training set; it is None if no paper was tagged, or the model has
    no training set. ``shards_before`` counts the shards tagged by an interrupted run before this
    one, ``worker_deaths`` the workers that died while they tagged, and ``failures`` how often the
    engine was restarted.
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
        """Yield the tagged papers, read from the files of the run."""
        if (self.folder / TAGS_FILE) in self.files:
            yield from read_jsonl(self.folder / TAGS_FILE)
            return
        for part in sorted((self.folder / PARTS_FOLDER).iterdir()):
            yield from read_part(part)


def read_for_run(
    places: Sequence[str],
    on_error: Callable[[TaggerError], None],
    *,
    folder: Path,
    format_name: str | None = None,
    columns: Mapping[str, str] | None = None,
    since: date | None = None,
    engine: Engine | None = None,
) -> PaperCollection:
    """Read the papers of files, folders, patterns and URLs for a run into an output folder.

    Parameters and errors are those of :func:`tagger.papers.collect_papers` and :func:`tag_papers`.
    With an engine, its workers read, and the entries are kept in the output folder, so that an
    interrupted run reads only files that have changed. Without one, entries are kept in a temporary
    folder. Also raises a TaggerError if workers are to read standard input.
    """
    files = find_files(places)
    names = [file.place for file in files]
    if engine and STANDARD_INPUT in names:
        raise TaggerError("workers cannot read standard input", hint="Save it to a file first")
    work = None
    if engine:
        key = [__version__, format_name, dict(columns or {}), str(since), [*map(asdict, files)]]
        work = folder.absolute() / WORK_FOLDER / f"read-{_fingerprint(key)[:16]}"
    return collect_papers(
        names,
        on_error,
        format_name=format_name,
        columns=columns,
        since=since,
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
    abstracts: bool = True,
    engine: Engine | None = None,
    progress: Progress = no_progress,
) -> TagRun:
    """Tag papers and write the results to ``folder``.

    The same papers and model give the same results, except for the time of the run. They do not
    depend on the engine, on interruptions, or on cached vectors. A paper that cannot be tagged does
    not stop the others.

    Parameters
    ----------
    papers:
        Papers of different identity. If they are not a sequence, they are saved to a temporary
        file.
    folder:
        Folder for ``tags.jsonl``, ``tags.csv``, ``near_duplicates.jsonl``, ``abstracts.jsonl``,
        ``manifest.json`` and, if there are problems, ``problems.jsonl``; created if missing.
    read:
        The files that the papers were read from. None of them is replaced, and BibTeX, RIS and CSL
        JSON files among them are written with the tags, see
        :func:`tagger.tagging.writers.keywords.write_with_keywords`.
    problems:
        Records that could not be read, to be listed with those that cannot be tagged.
    formats:
        Names of :data:`tagger.tagging.writers.WRITERS` to write in addition to ``tags.jsonl`` and
        ``tags.csv``.
    parts:
        Whether to write one Parquet file per shard, in a folder ``tags``, instead of all other
        formats, abstracts and files with keywords.
    abstracts:
        Whether to keep the abstracts with the results.
    engine:
        Executes the work; by default this process.
    progress:
        Called with the stage, papers or steps done, and their total.

    Raises
    ------
    TaggerError
        As :func:`check_output` does; if the output or temporary folder cannot be written to; if
        the folder has parts of another run; or if a row is not accounted for at the end.
    """
    inputs = [file.source.path for file in read.files] if read else []
    writers = [] if parts else check_output(folder, formats, inputs)
    with exclusively(folder / TAGS_FILE):
        papers = papers if isinstance(papers, Sequence) else PaperSpool(papers)
        engine, abstracts = engine or LocalEngine(), abstracts and not parts
        run = _Run(papers, model, folder, rule, engine, read, parts, abstracts, progress)
        return run.execute(writers, [Problem.of(error) for error in problems])


@dataclass
class _Run:
    """One run: its papers, the tagger of their shards, and the files that it writes."""

    papers: Sequence[Paper]
    model: TaggerModel
    folder: Path
    rule: ReviewRule
    engine: Engine
    read: PaperCollection | None
    parts: bool
    abstracts: bool
    progress: Progress

    def __post_init__(self) -> None:
        # Absolute, since workers may have another working directory.
        self.work = self.folder.absolute() / WORK_FOLDER
        run = self._key()
        self.tagger = ShardTagger(
            run,
            self.papers,
            self.engine.share(self.model, self.work / f"model-{run[:16]}"),
            self.rule,
            self.folder.absolute() / PARTS_FOLDER if self.parts else self.work / f"tags-{run[:16]}",
            ".parquet" if self.parts else ".jsonl",
            self.work / f"attempts-{run[:16]}",
            self.engine.shard_size,
            self.engine.batch_size,
        )

    def _key(self) -> str:
        """Return the fingerprint of the run: of papers, model, settings and engine."""
        if self.read and self.read.key:
            content = self.read.key
        else:
            # An interrupted run resumes with the same papers, even if their file was renamed.
            content = _fingerprint(
                (p.title, p.abstract, p.sources, p.id, p.identifiers) for p in self.papers
            )
        settings = [self.model.name, self.model.digest, self.model.effort, asdict(self.rule)]
        engine = [self.engine.device, self.engine.shard_size]
        return _fingerprint([__version__, ENCODING, *settings, *engine, content])

    def execute(self, writers: Sequence[Writer], problems: list[Problem]) -> TagRun:
        """Tag the papers, write all results, and return their numbers."""
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
            worker_deaths=count_deaths(self.tagger.attempts),
            failures=self.engine.failures,
        )
        self._write_manifest(run, sizes)
        shutil.rmtree(self.work, ignore_errors=True)
        self.progress("Writing results", steps, steps)
        return run

    def _tag(self) -> int:
        """Tag all shards that are not done; return how many were done before."""
        done = {number for number in self.tagger.shards if self.tagger.receipt(number)}
        if self.parts:
            self._check_parts(done)
        count = sum(len(self.tagger.indices(number)) for number in done)
        remaining = [number for number in self.tagger.shards if number not in done]
        self.progress("Tagging", count, len(self.papers))
        for tagged in self.engine.each(self.tagger, remaining, holds_model=True):
            count += tagged
            self.progress("Tagging", count, len(self.papers))
        return len(done)

    def _check_parts(self, done: set[int]) -> None:
        """Raise a TaggerError if the folder of parts contains anything that is not of this run."""
        parts = self.tagger.folder
        ours = {self.tagger.part(number) for number in self.tagger.shards} if done else set[Path]()
        try:
            parts.mkdir(parents=True, exist_ok=True)
            for path in sorted(parts.iterdir()):
                if path.name.startswith("."):
                    # A worker that was killed left it half-written.
                    shutil.rmtree(path, ignore_errors=True)
                elif path not in ours:
                    hint = "Choose another --output, or move it elsewhere"
                    raise TaggerError("does not belong to this run", path=path, hint=hint)
        except OSError as error:
            raise cannot_write(parts, error) from error

    def _receipts(self) -> Iterator[Receipt]:
        """Yield the receipts of all shards; raise a TaggerError if one is missing."""
        for number in self.tagger.shards:
            receipt = self.tagger.receipt(number)
            if receipt is None:
                raise TaggerError(
                    f"the results of {len(self.tagger.indices(number))} papers are missing",
                    path=self.tagger.part(number),
                    hint="All machines must see the output folder at the same path",
                )
            yield receipt

    def _write(
        self, writers: Sequence[Writer], pairs: Sequence[NearDuplicate], steps: int
    ) -> list[Path]:
        """Write the results in all formats; return the files."""
        # First, since notes contain them.
        has_abstracts = write_abstracts(self.folder, self.papers if self.abstracts else ())
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
        if has_abstracts:
            files.append(self.folder / ABSTRACTS_FILE)
        if self.parts:
            return [self.folder / PARTS_FOLDER, *files]
        if self.read:
            tags = (paper.tags if paper else {} for paper in self._tagged())
            taken = [*files, self.folder / MANIFEST_FILE]
            files += write_with_keywords(self.read, tags, taxonomy, self.folder, taken)
        return files

    def _tagged(self) -> Iterator[TaggedPaper | None]:
        """Yield all papers in order, with None for each that could not be tagged."""
        for number, receipt in zip(self.tagger.shards, self._receipts(), strict=True):
            tagged = read_part(self.tagger.part(number))
            untagged = set(receipt.untagged)
            for index in range(len(self.tagger.indices(number))):
                yield None if index in untagged else next(tagged)

    def _write_manifest(self, run: TagRun, sizes: Sequence[int]) -> None:
        """Write the manifest; raise a TaggerError if a row is not accounted for."""
        manifest: dict[str, Any] = {"run": self.tagger.run, "model": self.model.name}
        manifest["taxonomy"] = self.model.taxonomy.version
        for name in ("rows", "papers", "merged", "to_review", "counts"):
            manifest[name] = getattr(run, name)
        manifest["problems"] = len(run.problems)
        if run.rows != run.papers + run.merged + len(run.problems):
            raise TaggerError(
                f"of {run.rows} rows, {run.papers} were tagged, {run.merged} merged and "
                f"{len(run.problems)} are problems, which does not add up",
                hint="Please report this error",
            )
        if self.parts:
            manifest["parts"] = {
                self.tagger.part(number).name: size for number, size in enumerate(sizes)
            }
        with replacing(self.folder / MANIFEST_FILE) as file:
            file.write(json.dumps(manifest, indent=1) + "\n")


def _fingerprint(content: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for each in content:
        digest.update(json.dumps(each).encode() + b"\n")
    return digest.hexdigest()
