"""Label folders: the taxonomy, the seed labels and the corrections from review.

A label folder contains ``taxonomy.yaml``, ``seed.jsonl`` (the initial labels), ``real.jsonl``
(labels of published papers, without their abstracts) and ``corrections.jsonl`` (labels from
review). Label files are append-only, one JSON object a line. Former names of tags are translated to
current ones, see :mod:`tagger.taxonomy.schema`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tagger._util.atomic import exclusively, replacing
from tagger._util.jsonl import read_lines
from tagger.errors import TaggerError
from tagger.labels.label import Label
from tagger.labels.merging import ConflictRule, merge_labels
from tagger.papers import Paper, group_entries
from tagger.taxonomy import TAXONOMY_FILE, Taxonomy, open_taxonomy

SEED_FILE = "seed.jsonl"
REAL_FILE = "real.jsonl"
CORRECTIONS_FILE = "corrections.jsonl"
_MISFIT = (
    "Restore it in taxonomy.yaml, then use 'tagger taxonomy rename', 'merge' or 'retire', which "
    "also translate labels"
)


@dataclass(frozen=True, slots=True)
class LabelSnapshot:
    """The labels of a folder at one time, merged by the rule ``conflicts``.

    ``files`` maps the name of each file to its content, with the texts that were found.
    ``without_text`` counts the papers that are left out because their texts were not found.
    """

    folder: Path
    taxonomy: Taxonomy
    files: dict[str, bytes]
    conflicts: ConflictRule
    labels: tuple[Label, ...]
    without_text: int = 0

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file by name."""
        return {name: hashlib.sha256(text).hexdigest() for name, text in self.files.items()}


class _Line(NamedTuple):
    path: Path
    number: int
    label: Label


class LabelStore:
    """A label folder; the label files may be missing.

    ``texts`` are papers with abstracts. They give a text to the labels that have none, by
    identifier or title. Raises a TaggerError if the folder or its taxonomy is missing or invalid.
    """

    def __init__(self, folder: str | Path, texts: Iterable[Paper] = ()) -> None:
        self.folder = Path(folder)
        self._texts = [paper for paper in texts if paper.abstract]
        if not self.folder.is_dir():
            raise TaggerError(
                "no such label folder",
                path=self.folder,
                hint="Name one with --labels. Or make one with the tags of the model that ships "
                f"with tagger: tagger init {self.folder} --template shipped",
            )
        self.reopen()

    def reopen(self) -> None:
        """Read the taxonomy again, since another process may have changed it."""
        self.taxonomy = open_taxonomy(self.folder)

    @property
    def files(self) -> list[Path]:
        """The existing files of the folder, the taxonomy first."""
        names = (TAXONOMY_FILE, SEED_FILE, REAL_FILE, CORRECTIONS_FILE)
        return [path for name in names if (path := self.folder / name).exists()]

    def snapshot(self, conflicts: ConflictRule = "latest") -> LabelSnapshot:
        """Read the labels and the content of the files at one time."""
        while True:
            files = {path.name: path.read_bytes() for path in self.files}
            self.reopen()
            stored = self._stored_lines()
            # Another process may have changed a file meanwhile: read again.
            if files == {path.name: path.read_bytes() for path in self.files}:
                break
        lines = _with_texts(stored, self._texts)
        changed = [line for line, old in zip(lines, stored, strict=True) if line != old]
        for name in {line.path.name for line in changed}:
            own = [line.label for line in lines if line.path.name == name]
            files[name] = "".join(map(_as_line, own)).encode()
        merged = merge_labels([_checked(self.taxonomy, *line) for line in lines], conflicts)
        labels = tuple(label for label in merged if label.text is not None)
        missing = len(merged) - len(labels)
        return LabelSnapshot(self.folder, self.taxonomy, files, conflicts, labels, missing)

    def all_labels(self) -> list[Label]:
        """Return every label with current tags, seed labels first.

        Raises a TaggerError with file, line and field if a line is not a valid label, or names an
        unknown facet or tag.
        """
        return [_checked(self.taxonomy, *line) for line in self._lines()]

    def original_labels(self) -> list[Label]:
        """Return every label with its original tag names, in the same order."""
        return [label for _, _, label in self._lines()]

    def misfits(self) -> list[TaggerError]:
        """Return an error, with file and line, for each label that does not fit the taxonomy."""
        found = []
        for line in self._lines():
            try:
                _checked(self.taxonomy, *line)
            except TaggerError as error:
                found.append(error)
        return found

    def labels(self, conflicts: ConflictRule = "latest") -> list[Label]:
        """Return one label per paper with a text, merged by :func:`merge_labels`."""
        merged = merge_labels(self.all_labels(), conflicts)
        return [label for label in merged if label.text is not None]

    def add_corrections(self, choose: Callable[[list[Label]], Sequence[Label]]) -> list[Label]:
        """Append corrections atomically and return them; earlier lines are not changed.

        ``choose`` gets all labels of the folder and returns the corrections, while no other process
        can add any. Raises a TaggerError if a tag does not fit the taxonomy, or a file cannot be
        read or written.
        """
        path = self.folder / CORRECTIONS_FILE
        with exclusively(path):
            self.reopen()
            chosen = list(choose(self.all_labels()))
            for label in chosen:
                self.taxonomy.check_tags(_translated(self.taxonomy, label).tags)
            if chosen:
                before = path.read_bytes().decode("utf-8") if path.exists() else ""
                with replacing(path) as file:
                    file.write(before + ("\n" if before and before[-1] != "\n" else ""))
                    for label in chosen:
                        file.write(_as_line(label))
        return chosen

    def _stored_lines(self) -> list[_Line]:
        return [
            _Line(path, number, label)
            for path in self.files
            if path.name != TAXONOMY_FILE
            for number, label in read_lines(path, Label)
        ]

    def _lines(self) -> list[_Line]:
        return _with_texts(self._stored_lines(), self._texts)


def _with_texts(stored: Sequence[_Line], texts: Sequence[Paper]) -> list[_Line]:
    """Give the longest text of the same paper to each label that has none."""
    lines = list(stored)
    papers = [line.label.paper for line in lines] + list(texts) if texts else []
    for indices in group_entries(papers):
        found = [papers[index].abstract for index in indices if index >= len(lines)]
        for index in indices if found else ():
            if index < len(lines) and lines[index].label.text is None:
                update = {"text": max(found, key=len)}
                label = lines[index].label.model_copy(update=update)
                lines[index] = lines[index]._replace(label=label)
    return lines


def read_label_file(path: Path, taxonomy: Taxonomy, texts: Iterable[Paper] = ()) -> list[Label]:
    """Return one label per paper from a file outside of a label folder, with current tags.

    ``texts`` are as for :class:`LabelStore`. Raises a TaggerError, with line and field, if a line
    is not a valid label, or does not fit the taxonomy.
    """
    stored = [_Line(path, number, label) for number, label in read_lines(path, Label)]
    lines = _with_texts(stored, [paper for paper in texts if paper.abstract])
    return merge_labels([_checked(taxonomy, *line) for line in lines])


def _translated(taxonomy: Taxonomy, label: Label) -> Label:
    """Translate a label and its prediction to current tags with their ancestors."""
    changes: dict[str, object] = {
        "taxonomy": taxonomy.version,
        "tags": taxonomy.read(label.tags),
    }
    if label.prediction:
        tags = taxonomy.read(label.prediction.tags)
        changes["prediction"] = label.prediction.model_copy(update={"tags": tags})
    return label.model_copy(update=changes)


def _checked(taxonomy: Taxonomy, path: Path, line: int, label: Label) -> Label:
    translated = _translated(taxonomy, label)
    try:
        taxonomy.check_tags(translated.tags)
    except TaggerError as error:
        hint = f"{error.hint}. {_MISFIT}" if error.hint else None
        raise TaggerError(
            error.problem, path=path, line=line, field=error.field, hint=hint
        ) from error
    return translated


def _as_line(label: Label) -> str:
    return label.model_dump_json(exclude_defaults=True) + "\n"
