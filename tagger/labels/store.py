"""Labels: what people say a paper's tags are.

A label folder holds ``taxonomy.yaml``, ``seed.jsonl`` (the hand labels to begin with) and
``corrections.jsonl`` (what came back from review). Both label files are append-only, one JSON
object a line; a correction outweighs a seed label, and where several people speak of one paper a
:data:`ConflictRule` decides. Former names of tags are read as today's, see :mod:`tagger.taxonomy`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tagger._util.atomic import exclusively, replacing
from tagger._util.jsonl import read_lines
from tagger.errors import TaggerError
from tagger.papers import Paper, group_entries, paper_id
from tagger.taxonomy import TAXONOMY_FILE, Taxonomy, open_taxonomy

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
SEED_FILE = "seed.jsonl"
CORRECTIONS_FILE = "corrections.jsonl"
_MISFIT = (
    "Put it back into taxonomy.yaml; 'tagger taxonomy rename', 'merge' or 'retire' then change it "
    "with its labels"
)

ConflictRule = Literal["latest", "majority", "adjudicate"]
"""What counts where reviewers of one paper answer a facet differently.

``latest``: the latest answer. ``majority``: what more than half of them say, tag by tag where
several tags can apply; without a majority nothing counts. ``adjudicate``: nothing, until a label
marked ``final`` says so. Under each rule a final answer outweighs all others, and an answer that
does not count leaves the facet unjudged.
"""


class Prediction(BaseModel):
    """What a model had said of a paper when a person corrected it.

    ``shown`` is false where the person answered without seeing it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Text
    tags: dict[str, tuple[str, ...]]
    shown: bool = True


class Origin(BaseModel):
    """The Label Studio annotation that a correction came from.

    ``annotation`` is its unique id, ``project`` the project's number and time of creation, which
    tell it from a project of the same number on another server.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    annotation: Text
    updated: AwareDatetime
    project: Text
    task: int
    queue: str | None = None
    lead_time: float | None = None
    """Seconds that the person spent."""


class Label(BaseModel):
    """The tags one person gave one paper, one line of a label file.

    ``tags`` maps a facet to its tags; a facet that is missing was not judged, an empty list says
    that none applies. ``id`` is made from the title where the line has none. An ``outcome`` other
    than ``tagged`` has no tags: the entry is no paper, the person could not tell, or an earlier
    line of the same annotation is taken back. A ``final`` label settles a conflict.
    ``taxonomy`` is the version that the tags are of; a label read by a :class:`LabelStore` is in
    today's terms, and has no tags left if all that it gave were retired.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Text
    title: Text
    text: str
    outcome: Literal["tagged", "not-a-paper", "cannot-tell", "withdrawn"] = "tagged"
    tags: dict[str, tuple[str, ...]]
    annotator: Text
    time: AwareDatetime
    source: Literal["seed", "review"]
    final: bool = False
    note: str | None = None
    taxonomy: Text | None = None
    prediction: Prediction | None = None
    origin: Origin | None = None

    @model_validator(mode="before")
    @classmethod
    def _identify(cls, data: object) -> object:
        if isinstance(data, Mapping) and "id" not in data:
            title = data.get("title")
            # A title that is no text has an error of its own.
            return {**data, "id": paper_id(title if isinstance(title, str) else "")}
        return data

    @field_validator("tags")
    @classmethod
    def _fit_outcome(
        cls, tags: dict[str, tuple[str, ...]], info: ValidationInfo
    ) -> dict[str, tuple[str, ...]]:
        tagged = info.data.get("outcome", "tagged") == "tagged"
        if tagged != bool(tags):
            reason = "at least 1 facet is needed" if tagged else "no tags go with this outcome"
            raise ValueError(reason)
        return tags

    @property
    def paper(self) -> Paper:
        """The labelled paper."""
        return Paper(self.title, self.text, id=self.id)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Reviewers who answer one facet of one paper differently.

    ``answers`` holds the latest word of each annotator; ``facet`` is None where they differ on
    whether the entry is a paper at all, and the answers are then outcomes.
    """

    id: str
    title: str
    facet: str | None
    answers: dict[str, tuple[str, ...]]
    settled: bool


def standing_labels(labels: Iterable[Label]) -> list[Label]:
    """Return the labels that still stand, in their order.

    The last line of an annotation replaces the earlier ones; one that was withdrawn is gone.
    """
    standing: dict[object, Label] = {}
    for line, label in enumerate(labels):
        key = label.origin.annotation if label.origin else line
        if label.outcome == "withdrawn":
            standing.pop(key, None)
        else:
            standing[key] = label
    return list(standing.values())


def labels_by_paper(labels: Iterable[Label]) -> dict[str, list[Label]]:
    """Return the standing labels of each paper, earlier ones first, corrections last.

    A paper that was labelled by its title, and again by an identifier, is one; its id is that of
    its earliest label, of several at one time a seed label.
    """
    standing = standing_labels(labels)
    found: dict[str, list[Label]] = {}
    for places in group_entries([label.paper for label in standing]):
        own = [standing[place] for place in places]
        own.sort(key=lambda label: (label.source == "review", label.time))
        first = min(own, key=lambda label: (label.time, label.source == "review"))
        found[first.id] = own
    return found


def papers_spoken_of(labels: Iterable[Label]) -> list[Paper]:
    """Return each paper with a label that stands, whatever its outcome, once."""
    return [own[-1].paper for own in labels_by_paper(labels).values()]


def merge_labels(labels: Iterable[Label], conflicts: ConflictRule = "latest") -> list[Label]:
    """Merge all labels into one a paper, to train on.

    A correction outweighs a seed label whatever their times. Within one source the latest answer of
    each annotator on each facet counts (at the same time the later line), and ``conflicts`` rules
    between annotators. Papers stay in the order of their first label; a paper that is said to be
    none, or of which nothing is judged, is left out.
    """
    merged = []
    for name, own in labels_by_paper(labels).items():
        outcomes = _answers(_reviews(own), None)
        if outcomes and _resolve(outcomes, conflicts) != ("tagged",):
            continue
        tags: dict[str, tuple[str, ...]] = {}
        for given in ([label for label in own if label.source == "seed"], _reviews(own)):
            for facet in _facets(given):
                answer = _resolve(_answers(given, facet), conflicts)
                if answer is None:
                    tags.pop(facet, None)
                else:
                    tags[facet] = answer
        if tags:
            # The id that earlier trainings know the paper by, whatever it came to be called.
            changes = {"id": name, "tags": tags, "outcome": "tagged"}
            merged.append(own[-1].model_copy(update=changes))
    return merged


def settled_as_no_paper(labels: Iterable[Label], conflicts: ConflictRule = "latest") -> set[str]:
    """Return the ids of the entries that count as no paper by what reviewers said."""
    return {
        name
        for name, own in labels_by_paper(labels).items()
        if _resolve(_answers(_reviews(own), None), conflicts) == ("not-a-paper",)
    }


def find_conflicts(labels: Iterable[Label], conflicts: ConflictRule = "latest") -> list[Conflict]:
    """Return what reviewers answer differently, and whether the rule settles it."""
    found = []
    for name, own in labels_by_paper(labels).items():
        reviews = _reviews(own)
        for facet in (None, *_facets(reviews)):
            answers = _answers(reviews, facet)
            if len({frozenset(answer.tags) for answer in answers}) > 1:
                settled = _resolve(answers, conflicts) is not None
                given = {answer.annotator: answer.tags for answer in answers}
                found.append(Conflict(name, own[0].title, facet, given, settled))
    return found


def review_answers(
    by_paper: Mapping[str, Sequence[Label]], facet: str
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return, per paper and annotator, the latest answer of a review to a facet.

    ``by_paper`` is what :func:`labels_by_paper` returns.
    """
    return {
        paper: {answer.annotator: answer.tags for answer in _answers(_reviews(own), facet)}
        for paper, own in by_paper.items()
    }


class _Answer(NamedTuple):
    annotator: str
    tags: tuple[str, ...]
    final: bool


def _reviews(labels: Sequence[Label]) -> list[Label]:
    return [label for label in labels if label.source == "review"]


def _facets(labels: Sequence[Label]) -> Iterable[str]:
    return dict.fromkeys(facet for label in labels for facet in label.tags)


def _answers(labels: Sequence[Label], facet: str | None) -> list[_Answer]:
    """Return the last answer of each annotator, latest last; without a facet, of outcomes."""
    last: dict[str, _Answer] = {}
    for label in labels:
        if facet is None and label.outcome != "cannot-tell":
            tags: tuple[str, ...] = (label.outcome,)
        elif facet in label.tags:
            tags = label.tags[facet]
        else:
            continue
        last.pop(label.annotator, None)
        last[label.annotator] = _Answer(label.annotator, tags, label.final)
    return list(last.values())


def _resolve(answers: Sequence[_Answer], rule: ConflictRule) -> tuple[str, ...] | None:
    """Return the answer that counts, or None; ``answers`` has the latest last."""
    finals = [answer for answer in answers if answer.final]
    if finals or not answers:
        return finals[-1].tags if finals else None
    if rule == "latest" or len({frozenset(answer.tags) for answer in answers}) == 1:
        return answers[-1].tags
    if rule == "adjudicate":
        return None
    votes = Counter(tag for answer in answers for tag in answer.tags)
    chosen = tuple(tag for tag, count in votes.items() if 2 * count > len(answers))
    tie = any(2 * count == len(answers) for count in votes.values())
    # Three people with three answers of one tag each have no majority for having none.
    undecided = not chosen and all(answer.tags for answer in answers)
    return None if tie or undecided else chosen


@dataclass(frozen=True, slots=True)
class LabelSnapshot:
    """The labels of a folder at one time, merged into one a paper by the rule ``conflicts``.

    ``files`` holds the content of each file by name.
    """

    folder: Path
    taxonomy: Taxonomy
    files: dict[str, bytes]
    conflicts: ConflictRule
    labels: tuple[Label, ...]

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file by name."""
        return {name: hashlib.sha256(text).hexdigest() for name, text in self.files.items()}


class LabelStore:
    """A folder with ``taxonomy.yaml``; ``seed.jsonl`` and ``corrections.jsonl`` may be missing.

    Raises
    ------
    TaggerError
        If the folder or its taxonomy is missing or not valid.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise TaggerError(
                "no such label folder", path=self.folder, hint="Name one with --labels"
            )
        self.reopen()

    def reopen(self) -> None:
        """Read the taxonomy anew, for another process may have changed it."""
        self.taxonomy = open_taxonomy(self.folder)

    @property
    def files(self) -> list[Path]:
        """The files of the folder that exist, taxonomy first."""
        names = (TAXONOMY_FILE, SEED_FILE, CORRECTIONS_FILE)
        return [path for name in names if (path := self.folder / name).exists()]

    def snapshot(self, conflicts: ConflictRule = "latest") -> LabelSnapshot:
        """Read the labels, and keep the files as they were then."""
        while True:
            files = {path.name: path.read_bytes() for path in self.files}
            self.reopen()
            labels = self.labels(conflicts)
            # Answers may come home meanwhile, and the taxonomy may change.
            if files == {path.name: path.read_bytes() for path in self.files}:
                return LabelSnapshot(self.folder, self.taxonomy, files, conflicts, tuple(labels))

    def all_labels(self) -> list[Label]:
        """Every label in today's terms, in the order of the files, seed first.

        Raises
        ------
        TaggerError
            With file, line and field, if a line is not JSON, not a label, or names a facet or
            tag that the taxonomy lacks.
        """
        return [self._fitting(label, path, line) for path, line, label in self._lines()]

    def labels_as_given(self) -> list[Label]:
        """Every label with the names of tags that it was given with, in the same order."""
        return [label for _, _, label in self._lines()]

    def misfits(self) -> list[TaggerError]:
        """What is wrong with each label that does not fit the taxonomy, with file and line."""
        found = []
        for path, line, label in self._lines():
            try:
                self._fitting(label, path, line)
            except TaggerError as error:
                found.append(error)
        return found

    def labels(self, conflicts: ConflictRule = "latest") -> list[Label]:
        """One label a paper, as merged by :func:`merge_labels`."""
        return merge_labels(self.all_labels(), conflicts)

    def add_corrections(self, choose: Callable[[list[Label]], Sequence[Label]]) -> list[Label]:
        """Append corrections, all of them or, if interrupted, none, and return them.

        ``choose`` is given all labels of the folder; no other process adds corrections meanwhile.
        Lines that are there already stay as they are, byte for byte.

        Raises
        ------
        TaggerError
            If a tag does not fit the taxonomy, or the files cannot be read or written.
        """
        path = self.folder / CORRECTIONS_FILE
        with exclusively(path):
            self.reopen()
            chosen = list(choose(self.all_labels()))
            for label in chosen:
                self.taxonomy.check_tags(self._today(label).tags)
            if chosen:
                before = path.read_bytes().decode("utf-8") if path.exists() else ""
                with replacing(path) as file:
                    file.write(before + ("\n" if before and before[-1] != "\n" else ""))
                    for label in chosen:
                        file.write(label.model_dump_json(exclude_defaults=True) + "\n")
        return chosen

    def _lines(self) -> Iterator[tuple[Path, int, Label]]:
        for path in self.files:
            if path.name != TAXONOMY_FILE:
                for line, label in read_lines(path, Label):
                    yield path, line, label

    def _today(self, label: Label) -> Label:
        """Put a label in today's terms, with all that its tags imply."""
        changes: dict[str, object] = {
            "taxonomy": self.taxonomy.version,
            "tags": self.taxonomy.read(label.tags),
        }
        if label.prediction:
            tags = self.taxonomy.read(label.prediction.tags)
            changes["prediction"] = label.prediction.model_copy(update={"tags": tags})
        return label.model_copy(update=changes)

    def _fitting(self, label: Label, path: Path, line: int) -> Label:
        today = self._today(label)
        try:
            self.taxonomy.check_tags(today.tags)
        except TaggerError as error:
            hint = f"{error.hint}. {_MISFIT}" if error.hint else None
            raise TaggerError(
                error.problem, path=path, line=line, field=error.field, hint=hint
            ) from error
        return today
