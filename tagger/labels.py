"""Labels: what people say a paper's tags are.

A label folder holds ``taxonomy.yaml``, ``seed.jsonl`` (the hand labels to begin with) and
``corrections.jsonl`` (what came back from review). Both label files are append-only, one JSON
object a line; where several lines speak of one paper the latest word on each facet counts, and a
correction outweighs a seed label.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from tagger.durable import append_line
from tagger.errors import TaggerError
from tagger.paper import Paper, paper_id
from tagger.taxonomy import Taxonomy, describe_validation_error, field_name, load_taxonomy

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
SEED_FILE = "seed.jsonl"
CORRECTIONS_FILE = "corrections.jsonl"
TAXONOMY_FILE = "taxonomy.yaml"


class Prediction(BaseModel):
    """What a model had said of a paper when a person corrected it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Text
    tags: dict[str, tuple[str, ...]]


class Label(BaseModel):
    """The tags one person gave one paper, one line of a label file.

    ``tags`` maps a facet to its tags; a facet that is missing was not judged, an empty list says
    that none applies. ``id`` is made from the title where the line has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Text
    title: Text
    text: str
    tags: Annotated[dict[str, tuple[str, ...]], Field(min_length=1)]
    annotator: Text
    time: AwareDatetime
    source: Literal["seed", "review"]
    prediction: Prediction | None = None

    @model_validator(mode="before")
    @classmethod
    def _identify(cls, data: object) -> object:
        if isinstance(data, Mapping) and "id" not in data:
            title = data.get("title")
            # A title that is no text has an error of its own.
            return {**data, "id": paper_id(title if isinstance(title, str) else "")}
        return data

    @property
    def paper(self) -> Paper:
        """The labelled paper."""
        return Paper(self.title, self.text, id=self.id)


def merge_labels(labels: Iterable[Label]) -> list[Label]:
    """Merge all that was said into one label a paper: the latest word on each facet counts.

    A correction outweighs a seed label whatever their times; within one source the later time
    wins, and at the same time the later line. Papers stay in the order of their first label.
    """
    order: dict[str, None] = {}
    said: dict[str, list[tuple[bool, datetime, int, Label]]] = {}
    for line, label in enumerate(labels):
        order.setdefault(label.id)
        said.setdefault(label.id, []).append((label.source == "review", label.time, line, label))
    merged = []
    for paper in order:
        history = [entry[-1] for entry in sorted(said[paper], key=lambda entry: entry[:-1])]
        tags: dict[str, tuple[str, ...]] = {}
        for label in history:
            tags.update(label.tags)
        merged.append(history[-1].model_copy(update={"tags": tags}))
    return merged


class LabelStore:
    """A label folder.

    Parameters
    ----------
    folder:
        Where ``taxonomy.yaml``, ``seed.jsonl`` and ``corrections.jsonl`` are. The taxonomy must
        exist; a label file may be missing.

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
        self.taxonomy: Taxonomy = load_taxonomy(self.folder / TAXONOMY_FILE)

    @property
    def files(self) -> list[Path]:
        """The files of the folder that exist, taxonomy first."""
        names = (TAXONOMY_FILE, SEED_FILE, CORRECTIONS_FILE)
        return [path for name in names if (path := self.folder / name).exists()]

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file by name."""
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.files}

    def all_labels(self) -> list[Label]:
        """Every label in the order of the files, seed first.

        Raises
        ------
        TaggerError
            With file, line and field, if a line is not JSON, not a label, or names a facet or
            tag that the taxonomy lacks.
        """
        return [
            label
            for path in self.files
            if path.name != TAXONOMY_FILE
            for label in _read_labels(path, self.taxonomy)
        ]

    def labels(self) -> list[Label]:
        """One label a paper, as merged by :func:`merge_labels`."""
        return merge_labels(self.all_labels())

    def add_correction(self, label: Label) -> None:
        """Append a correction; it is on disk when this returns.

        Raises
        ------
        TaggerError
            If a tag does not fit the taxonomy or the file cannot be written.
        """
        self.taxonomy.check_tags(label.tags)
        append_line(self.folder / CORRECTIONS_FILE, label.model_dump_json(exclude_none=True))


def _read_labels(path: Path, taxonomy: Taxonomy) -> Iterator[Label]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TaggerError("is not UTF-8 text", path=path) from error
    except OSError as error:
        raise TaggerError(f"cannot be read ({error.strerror or error})", path=path) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            label = Label.model_validate(json.loads(line))
            taxonomy.check_tags(label.tags)
        except json.JSONDecodeError as error:
            raise TaggerError(
                f"is not JSON: {error.msg} at column {error.colno}", path=path, line=number
            ) from error
        except RecursionError as error:
            raise TaggerError("is nested too deeply", path=path, line=number) from error
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False)[0]
            problem, hint = describe_validation_error(detail["type"], detail["msg"])
            raise TaggerError(
                problem, path=path, line=number, field=field_name(detail["loc"]), hint=hint
            ) from error
        except ValueError as error:  # a number of thousands of digits
            raise TaggerError(f"is not JSON: {error}", path=path, line=number) from error
        except TaggerError as error:
            raise TaggerError(
                error.problem, path=path, line=number, field=error.field, hint=error.hint
            ) from error
        yield label
