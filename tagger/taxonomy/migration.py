"""Migrate label folders of earlier versions of tagger.

They recorded each change of the taxonomy as a line of ``taxonomy_history.jsonl``, and labels were
read by replaying the later changes. Here the changes are replayed once for each name, and the
result is written to ``replaces`` and ``retired`` in the taxonomy. If a name had two meanings, the
labels with the earlier meaning get an alias. The old files are kept as ``*.migrated``.
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
        """Map the tags removed by the change in ``facet`` to their successor or None."""
        into = self.into if isinstance(self.into, str) else None
        if self.operation == "retire" and into is None and self.tag in facet.tag_names:
            into = next(iter(facet.ancestors(self.tag)), None)
        moves = self.operation in ("rename", "merge", "retire")
        return dict.fromkeys(self.tags or (self.tag,), into) if moves else {}


class _Step(BaseModel, frozen=True):
    """A line of the history: a change with the taxonomy file before and after it."""

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
    """Read the taxonomy of a label folder, after migrating a folder of an earlier version.

    The migration is logged at ``level``.
    """
    if (folder / HISTORY_FILE).exists():
        with exclusively(folder / TAXONOMY_FILE):
            # Another process may have migrated the folder meanwhile.
            if (folder / HISTORY_FILE).exists():
                _LOG.log(level, "%s; the old files are kept as *.migrated", _migrate(folder))
    return load_taxonomy(folder / TAXONOMY_FILE)


def _migrate(folder: Path) -> str:
    """Migrate a folder and describe the changes; an interrupted migration can be repeated."""
    path, history_path = folder / TAXONOMY_FILE, folder / HISTORY_FILE
    steps = [step for _, step in read_lines(history_path, _Step)]
    document = open_document(path)
    if steps and document.taxonomy.version == steps[-1].from_version:
        # The last change was interrupted between its two writes.
        document = TaxonomyDocument(steps[-1].to_text, history_path)
    history = _History(steps, document.taxonomy)
    labels = {folder / name: history.with_aliases(folder / name) for name in _LABEL_FILES}
    history.write_to(document)
    text = TaxonomyDocument(document.text(), path).text()
    with replacing(path) as file:
        file.write(text)
    done = [f"{len(steps)} changes are now 'replaces', 'retired' and 'since' in {TAXONOMY_FILE}"]
    for label_path, (old, new) in labels.items():
        if new != old:
            with replacing(_aside(label_path)) as file:
                file.write(old)
            with replacing(label_path) as file:
                file.write(new)
            done.append(f"names with two meanings got an alias in {label_path.name}")
    history_path.replace(_aside(history_path))
    return f"{history_path}: {'; '.join(done)}"


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.migrated")


class _History:
    """The recorded changes, and the current meaning of each name at each position.

    Positions count the changes: 0 is before the first, ``len(steps)`` is now.
    """

    def __init__(self, steps: Sequence[_Step], today: Taxonomy) -> None:
        self._steps, self._today = steps, today
        self._aliases: dict[tuple[str, str], frozenset[str]] = {}
        # Per facet and name, the current tags of the name at each position where it was a tag.
        self._meanings: dict[tuple[str, str], dict[int, frozenset[str]]] = {}
        for position, taxonomy in enumerate([*(step.before for step in steps), today]):
            for facet in taxonomy.facets:
                for name in facet.tag_names:
                    meaning = self._replay(facet.name, name, position)
                    self._meanings.setdefault((facet.name, name), {})[position] = meaning

    def _replay(self, facet: str, name: str, position: int) -> frozenset[str]:
        """Return the current tags of a tag at a position, with all tags that it implied."""
        names = {name}
        for step in self._steps[position:]:
            before = _facet(step.before, facet)
            if before and step.change.facet == facet:
                moved = step.change.moved(before)
                known = names & set(before.tag_names)
                now = {moved.get(tag, tag) for tag in before.with_ancestors(known)}
                names = names - known | {tag for tag in now if tag}
        today = _facet(self._today, facet)
        # A tag that was removed by hand stays unknown, and is reported when labels are read.
        known = names & set(today.tag_names if today else ())
        return frozenset(names.union(today.with_ancestors(known) if today else ()))

    def _latest(self, facet: str, name: str) -> frozenset[str]:
        """Return the meaning of a name at the last position where it was a tag."""
        found = self._meanings[facet, name]
        return found[max(found)]

    def _position(self, version: str | None, time: datetime) -> int:
        """Return the position at which a label was given, by its version or else its time."""
        by_time = bisect_left([step.time for step in self._steps], time)
        found = [index for index, step in enumerate(self._steps) if step.from_version == version]
        found += [index for index, step in enumerate(self._steps, 1) if step.to_version == version]
        if version == self._today.version:
            found.append(len(self._steps))
        if not found:
            return by_time
        return max((index for index in found if index <= by_time), default=min(found))

    def with_aliases(self, path: Path) -> tuple[str, str]:
        try:
            text = path.read_bytes().decode()
        except (FileNotFoundError, UnicodeDecodeError):
            return "", ""
        return text, "\n".join(map(self._line_with_aliases, text.split("\n")))

    def _line_with_aliases(self, line: str) -> str:
        try:
            label = json.loads(line)
            position = self._position(label.get("taxonomy"), _TIME.validate_python(label["time"]))
            answers = [label["tags"], (label.get("prediction") or {}).get("tags", {})]
            changed = [self._add_aliases(tags, position) for tags in answers]
        except (ValueError, ValidationError, KeyError, TypeError, AttributeError):
            return line  # an invalid label, reported when labels are read
        if not any(changed):
            return line
        return json.dumps(label, ensure_ascii=line.isascii())

    def _add_aliases(self, tags: dict[str, list[str]], position: int) -> bool:
        """Replace names whose meaning has changed by aliases; return whether any was replaced."""
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
        """Write former names, aliases and ``since`` times into the current taxonomy."""
        for facet in self._today.facets:
            names = set(facet.tag_names)
            found = {(facet.name, name): frozenset(tags) for name, tags in facet.meanings.items()}
            found |= {key: self._latest(*key) for key in self._meanings} | self._aliases
            entry = document.facet(facet.name)
            for tag, time in self._new_tags(facet.name):
                if tag in names:
                    with tag_entry(entry, facet.tag_names.index(tag)) as one:
                        one["since"] = time.isoformat()
            meanings = {
                name: tags
                for (owner, name), tags in found.items()
                if owner == facet.name and name not in names and tags <= names
            }
            write_former_names(entry, meanings)

    def _new_tags(self, facet: str) -> Iterator[tuple[str, datetime]]:
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
