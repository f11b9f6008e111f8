"""Label folders of before: ``taxonomy_history.jsonl`` becomes ``replaces`` and ``retired``.

Each change used to be a line of that file, and a label was read by replaying the changes made since
the version that it names, or else since its time. Here all names of the file are replayed once, and
it is kept as ``taxonomy_history.jsonl.migrated``. Where a name has had two meanings, labels that
use it in the earlier one get an alias for it.
"""

from __future__ import annotations

import json
import logging
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from tagger._util.atomic import exclusively, replacing
from tagger._util.jsonl import read_lines
from tagger.taxonomy.changes import write_former_names
from tagger.taxonomy.file import TaxonomyDocument, load_taxonomy, open_document, tag_entry
from tagger.taxonomy.schema import TAXONOMY_FILE, Facet, Taxonomy

HISTORY_FILE = "taxonomy_history.jsonl"
_LABEL_FILES = ("seed.jsonl", "corrections.jsonl")
_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)
_LOG = logging.getLogger(__name__)


class _Change(BaseModel):
    operation: Literal["add", "rename", "merge", "split", "retire"]
    facet: str
    tag: str = ""
    tags: tuple[str, ...] = ()
    into: str | tuple[str, ...] | None = None
    parent: str | None = None
    queue: bool = False

    def moved(self, facet: Facet) -> dict[str, str | None]:
        """Return what became of tags of the facet as it was: another tag, or none."""
        into = self.into if isinstance(self.into, str) else None
        if self.operation == "retire" and into is None and self.tag in facet.tag_names:
            into = next(iter(facet.ancestors(self.tag)), None)
        moves = self.operation in ("rename", "merge", "retire")
        return dict.fromkeys(self.tags or (self.tag,), into) if moves else {}


class _Step(BaseModel, frozen=True):
    """A line of the history: a change, and the taxonomy file before and after it."""

    change: _Change
    from_version: str
    to_version: str
    time: AwareDatetime
    from_text: str
    to_text: str

    @cached_property
    def before(self) -> Taxonomy:
        return TaxonomyDocument(self.from_text, Path(HISTORY_FILE)).taxonomy


def open_taxonomy(folder: Path, level: int = logging.WARNING) -> Taxonomy:
    """Read the taxonomy of a label folder; bring a folder of before to the present form first.

    What is done to such a folder is logged at ``level``.
    """
    if (folder / HISTORY_FILE).exists():
        with exclusively(folder / TAXONOMY_FILE):
            # Another process may have done it meanwhile.
            if (folder / HISTORY_FILE).exists():
                _LOG.log(level, "%s; what was there is kept in *.migrated", _migrate(folder))
    return load_taxonomy(folder / TAXONOMY_FILE)


def _migrate(folder: Path) -> str:
    """Migrate a folder and say what was done; cut short, it is done again, with equal result."""
    path, history_path = folder / TAXONOMY_FILE, folder / HISTORY_FILE
    steps = [step for _, step in read_lines(history_path, _Step)]
    document = open_document(path)
    if steps and document.taxonomy.version == steps[-1].from_version:
        # A change that was cut short between its two writes.
        document = TaxonomyDocument(steps[-1].to_text, history_path)
    history = _History(steps, document.taxonomy)
    labels = {folder / name: history.with_aliases(folder / name) for name in _LABEL_FILES}
    history.write_to(document)
    text = TaxonomyDocument(document.text(), path).text()
    with replacing(path) as file:
        file.write(text)
    did = [f"{len(steps)} changes are now 'replaces', 'retired' and 'since' in {TAXONOMY_FILE}"]
    for label_path, (old, new) in labels.items():
        if new != old:
            with replacing(_aside(label_path)) as file:
                file.write(old)
            with replacing(label_path) as file:
                file.write(new)
            did.append(f"names with two meanings are told apart in {label_path.name}")
    history_path.replace(_aside(history_path))
    return f"{history_path}: {'; '.join(did)}"


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.migrated")


class _History:
    """The changes made, and what the names of each time stand for today.

    Positions count the changes: 0 is before the first, ``len(steps)`` is today.
    """

    def __init__(self, steps: Sequence[_Step], today: Taxonomy) -> None:
        self._steps, self._today = steps, today
        self._aliases: dict[tuple[str, str], frozenset[str]] = {}
        # Per facet and name, what it stands for at each position where it was a tag.
        self._meanings: dict[tuple[str, str], dict[int, frozenset[str]]] = {}
        for position, taxonomy in enumerate([*(step.before for step in steps), today]):
            for facet in taxonomy.facets:
                for name in facet.tag_names:
                    meaning = self._replay(facet.name, name, position)
                    self._meanings.setdefault((facet.name, name), {})[position] = meaning

    def _replay(self, facet: str, name: str, position: int) -> frozenset[str]:
        """Return what a tag of a position is today, with all that it implied on the way."""
        names = {name}
        for step in self._steps[position:]:
            before = _facet(step.before, facet)
            if before and step.change.facet == facet:
                moved = step.change.moved(before)
                known = names & set(before.tag_names)
                now = {moved.get(tag, tag) for tag in before.with_ancestors(known)}
                names = names - known | {tag for tag in now if tag}
        today = _facet(self._today, facet)
        # What was taken out by hand stays unknown, and is reported as such.
        known = names & set(today.tag_names if today else ())
        return frozenset(names.union(today.with_ancestors(known) if today else ()))

    def _latest(self, facet: str, name: str) -> frozenset[str]:
        """Return what a name stands for from now on."""
        found = self._meanings[facet, name]
        return found[max(found)]

    def _position(self, version: str | None, time: datetime) -> int:
        """Return at which position a label was given: by its version, else by its time."""
        by_time = bisect_left([step.time for step in self._steps], time)
        known = [place for place, step in enumerate(self._steps) if step.from_version == version]
        known += [place for place, step in enumerate(self._steps, 1) if step.to_version == version]
        if version == self._today.version:
            known.append(len(self._steps))
        if not known:
            return by_time
        return max((place for place in known if place <= by_time), default=min(known))

    def with_aliases(self, path: Path) -> tuple[str, str]:
        """Return the text of a label file as it is, and with names told apart that need it."""
        try:
            text = path.read_bytes().decode()
        except (FileNotFoundError, UnicodeDecodeError):
            return "", ""
        return text, "\n".join(map(self._line_with_aliases, text.split("\n")))

    def _line_with_aliases(self, line: str) -> str:
        try:
            label = json.loads(line)
            position = self._position(label.get("taxonomy"), _TIME.validate_python(label["time"]))
            said = [label["tags"], (label.get("prediction") or {}).get("tags", {})]
            changed = [self._renamed(tags, position) for tags in said]
        except (ValueError, ValidationError, KeyError, TypeError, AttributeError):
            return line  # no label: whoever reads it says so
        if not any(changed):
            return line
        return json.dumps(label, ensure_ascii=line.isascii())

    def _renamed(self, tags: dict[str, list[str]], position: int) -> bool:
        """Give names an alias if the tags of a paper read differently otherwise."""
        changed = False
        for facet, names in tags.items():
            meanings = {name: self._meanings.get((facet, name), {}) for name in names}
            then = {name: known[position] for name, known in meanings.items() if position in known}
            now = {name: self._latest(facet, name) for name in then}
            if frozenset().union(*then.values()) != frozenset().union(*now.values()):
                tags[facet] = [
                    name if then.get(name) == now.get(name) else self._alias(facet, name, position)
                    for name in names
                ]
                changed = True
        return changed

    def _alias(self, facet: str, name: str, position: int) -> str:
        meaning = self._meanings[facet, name][position]
        aliases = (f"{name[:46]}-{number}" for number in count(1))
        return next(
            alias
            for alias in aliases
            if (facet, alias) not in self._meanings
            and self._aliases.setdefault((facet, alias), meaning) == meaning
        )

    def write_to(self, document: TaxonomyDocument) -> None:
        """Write former names, aliases, and the questions of changes into today's taxonomy."""
        for facet in self._today.facets:
            names = set(facet.tag_names)
            found = {(facet.name, name): frozenset(tags) for name, tags in facet.readings.items()}
            found |= {place: self._latest(*place) for place in self._meanings} | self._aliases
            entry = document.facet(facet.name)
            for tag, time in self._questions(facet.name):
                if tag in names:
                    with tag_entry(entry, facet.tag_names.index(tag)) as one:
                        one["since"] = time.isoformat()
            readings = {
                name: tags
                for (of, name), tags in found.items()
                if of == facet.name and name not in names and tags <= names
            }
            write_former_names(entry, readings)

    def _questions(self, facet: str) -> Iterator[tuple[str, datetime]]:
        """Yield the tags that papers were to be looked at for, and since when they are there."""
        for position, step in enumerate(self._steps, start=1):
            change = step.change
            new, above = (change.tag,) * change.queue, change.parent
            if change.operation == "split" and isinstance(change.into, tuple):
                new, above = change.into, change.tag
            if change.facet == facet:
                implied = self._replay(facet, above, position) if above else frozenset()
                for tag in new:
                    for now in self._replay(facet, tag, position) - implied:
                        yield now, step.time


def _facet(taxonomy: Taxonomy, name: str) -> Facet | None:
    return next((facet for facet in taxonomy.facets if facet.name == name), None)
