"""The folder that a run writes its results to: names of its files, and what may be replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tagger._util.jsonl import read_lines
from tagger.errors import TaggerError
from tagger.papers import MANIFEST_FILE, NEAR_DUPLICATES_FILE, Paper, number_papers
from tagger.tagging.writers import TAGS_FILE, WRITERS, Writer, choose_writers
from tagger.tagging.writers.jsonl import ABSTRACTS_FILE

PROBLEMS_FILE = "problems.jsonl"
"""Records that could not be read or tagged, one per line: file, line, reason."""
PARTS_FOLDER = "tags"
WORK_FOLDER = ".work"
_RESULTS = (NEAR_DUPLICATES_FILE, PROBLEMS_FILE, ABSTRACTS_FILE, MANIFEST_FILE, PARTS_FOLDER)
"""What a run writes besides the files of writers."""
_WORK = re.compile(r"\.?(?:read|model|tags|attempts|near)-[0-9a-f]{16}")
"""Start of the names in the work folder; those of other files do not end in a fingerprint."""
_OF_MANIFEST = {"run", "model", "rows", "papers"}
"""Some of the keys of each manifest."""


@dataclass(frozen=True, slots=True)
class _Known(Paper):
    """The part of a line of an earlier ``tags.jsonl`` that is read."""

    abstract: str = ""


def check_output(
    folder: Path, formats: Iterable[str] = (), inputs: Iterable[Path] = ()
) -> list[Writer]:
    """Return the writers of some formats, and of those that are always written.

    Raises a TaggerError if a format is unknown, if something in the folder must not be replaced, if
    the results would replace one of the inputs, or if tagger has not written to the folder before
    and a file or the work folder would be replaced or deleted.
    """
    writers = choose_writers(formats)
    hint = "Choose another --output"
    if folder.exists() and not folder.is_dir():
        raise TaggerError("is a file, not a folder", path=folder, hint=hint)
    for writer in writers:
        writer.check(folder / writer.target)
    existing = [path for path in inputs if path.exists()]
    targets = [folder / name for name in (*(w.target for w in writers), *_RESULTS, WORK_FOLDER)]
    for target in targets:
        for path in existing:
            above = path.resolve().parents
            if target.exists() and (target.samefile(path) or target.resolve() in above):
                problem = "is one of the inputs, and the results would replace it"
                raise TaggerError(problem, path=path, hint=hint)
    work = folder / WORK_FOLDER
    inside = [path.name for path in work.glob("*")]
    if not any(map(_WORK.match, inside)) and not _has_results(folder):
        for target in targets:
            is_replaced = target.is_file() and target.name != PARTS_FOLDER
            if is_replaced or (target == work and inside):
                problem = "was not written by tagger, and a run would replace or delete it"
                raise TaggerError(problem, path=target, hint=hint)
    return writers


def _has_results(folder: Path) -> bool:
    """Return whether a folder has ``tags.jsonl`` or the manifest of a run."""
    if (folder / TAGS_FILE).exists():
        return True
    try:
        return {*json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))} >= _OF_MANIFEST
    except (OSError, ValueError, TypeError):
        return False


def check_no_loss(folder: Path, papers: Sequence[Paper], hint: str) -> None:
    """Raise a TaggerError if a folder has results of papers that are not among ``papers``."""
    earlier = folder / TAGS_FILE
    if not earlier.exists():
        return
    ids = {paper.id for paper in papers}
    gone = [paper for _, paper in read_lines(earlier, _Known) if paper.id not in ids]
    # The id of a paper changes when it gains an identifier.
    names = {name for paper in gone for name in paper.known_as}
    alike = [paper for paper in papers if not names.isdisjoint(paper.known_as)] if gone else []
    numbers = number_papers([*alike, *gone]).tolist()
    kept = {*numbers[: len(alike)]}
    lost = sum(number not in kept for number in numbers[len(alike) :])
    if lost:
        raise TaggerError(
            f"has results of {lost} papers that are not among these, and they would be lost",
            path=folder,
            hint=hint,
        )


def files_of_earlier_runs(folder: Path, written: Collection[Path]) -> list[Path]:
    """Return the files of formats that an earlier run wrote into a folder, and the last one not.

    The folder of parts is among them. Notes are not: those of other papers stay.
    """
    targets = [one.target for one in WRITERS if one.replacing_at is not nullcontext]
    paths = [path for target in targets if (path := folder / target).exists()]
    parts = folder / PARTS_FOLDER
    if any(parts.glob("part-*.parquet")):
        paths.append(parts)
    return [path for path in paths if path not in written]
