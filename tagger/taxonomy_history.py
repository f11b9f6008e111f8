"""The history of a taxonomy: every change that was made, beside the taxonomy file.

Label files are never rewritten. A label says of which version of the taxonomy it is, and is put in
today's terms when it is read, by the changes that came after that version; a label that does not
say it, or names a version that the history lacks (of a file edited by hand), is of the version of
its time. No change is therefore dated earlier than a label that was there when it was made.

A change is made in two writes: its line in the history, with the text of the taxonomy file before
and after, then the file. If a kill comes between them, whoever reads the folder next finishes it.
So a file that is put back by hand to what it was before the last change is changed again, unless
the history is put back with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict

from tagger.atomic import exclusively, replacing
from tagger.errors import TaggerError
from tagger.json_lines import read_lines
from tagger.taxonomy import Taxonomy, load_taxonomy, parse_taxonomy
from tagger.taxonomy_changes import Change, Tags, facet_of
from tagger.taxonomy_text import edit_taxonomy

TAXONOMY_FILE = "taxonomy.yaml"
HISTORY_FILE = "taxonomy_history.jsonl"


class HistoryEntry(BaseModel):
    """A change that was made, one line of the history.

    ``exclusive`` tells whether the facet was; the texts are those of the taxonomy file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    change: Change
    exclusive: bool
    from_version: str
    to_version: str
    who: str
    time: AwareDatetime
    reason: str | None = None
    from_text: str
    to_text: str

    @cached_property
    def before(self) -> Taxonomy:
        """The taxonomy before the change."""
        return parse_taxonomy(self.from_text, Path(HISTORY_FILE))


class TaxonomyHistory:
    """A taxonomy and how it came about.

    Positions count the changes made: 0 stands before the first, ``len(entries)`` is today.

    Parameters
    ----------
    taxonomy:
        Today's.
    entries:
        The changes, the oldest first.
    """

    def __init__(self, taxonomy: Taxonomy, entries: Sequence[HistoryEntry]) -> None:
        self.taxonomy = taxonomy
        self.entries = tuple(entries)
        self._times = [entry.time for entry in self.entries]
        # Many labels have the same few sets of tags.
        self._rewritten: dict[object, dict[str, tuple[str, ...]]] = {}
        self._positions: dict[str | None, list[int]] = {}

    @property
    def today(self) -> int:
        """The position after all changes."""
        return len(self.entries)

    def taxonomy_at(self, position: int) -> Taxonomy:
        """Return the taxonomy at a position."""
        return self.taxonomy if position == self.today else self.entries[position].before

    def version_at(self, position: int) -> str:
        """Return the version of the taxonomy at a position."""
        if position == self.today:
            return self.taxonomy.version
        return self.entries[position].from_version

    def position(self, version: str | None, time: datetime) -> int:
        """Return at which position something was said.

        Parameters
        ----------
        version:
            The version of the taxonomy that it is said in, if known.
        time:
            When; decides where the version is not known, or was there several times.
        """
        by_time = bisect_left(self._times, time)
        known = self._positions_of(version)
        if not known:
            return by_time
        return max((place for place in known if place <= by_time), default=min(known))

    def last_position(self, version: str | None, until: int) -> int:
        """Return where a version stood last, up to a position; that one if it never did."""
        known = [place for place in self._positions_of(version) if place <= until]
        return max(known, default=until)

    def _positions_of(self, version: str | None) -> list[int]:
        if version not in self._positions:
            known = {
                place for place, entry in enumerate(self.entries) if entry.from_version == version
            }
            known |= {
                place for place, entry in enumerate(self.entries, 1) if entry.to_version == version
            }
            known |= {self.today} if self.taxonomy.version == version else set()
            self._positions[version] = sorted(known)
        return self._positions[version]

    def rewrite(self, tags: Tags, start: int, end: int | None = None) -> dict[str, tuple[str, ...]]:
        """Put tags of one position in the terms of a later one, by default today's.

        What the tags imply there is added.
        """
        end = self.today if end is None else end
        now = {facet: tuple(given) for facet, given in tags.items()}
        key = (start, end, *now.items())
        if key not in self._rewritten:
            for entry in self.entries[start:end]:
                # With all that a tag implies now, for the change may take apart what belongs
                # together.
                now = entry.before.with_ancestors(now)
                now = entry.change.rewrite(now, facet_of(entry.before, entry.change.facet))
            self._rewritten[key] = self.taxonomy_at(end).with_ancestors(now)
        return dict(self._rewritten[key])

    def follow(self, facet: str, tag: str, start: int) -> str | None:
        """Return what a tag of a position is today; None if it was retired."""
        now: tuple[str, ...] = (tag,)
        for entry in self.entries[start:]:
            before = facet_of(entry.before, entry.change.facet)
            now = entry.change.rewrite({facet: now}, before).get(facet, ())
        return now[0] if now else None

    def read_choices(
        self, chosen: Mapping[str, Sequence[str]], version: str | None, time: datetime
    ) -> tuple[int, dict[str, tuple[str, ...]]]:
        """Find out in which terms an answer was given on an interface of uncertain age.

        It is read in terms of the version that the question was asked in, if that is known and has
        all chosen tags; or else of the latest version up to the time of the answer that has them.
        Tags that never were there together, as on an interface that keeps old tags for the answers
        that use them, are put in today's terms one by one.

        Parameters
        ----------
        chosen:
            Per facet, the tags; other controls are left out.
        version:
            Of the question.
        time:
            When it was answered.

        Returns
        -------
        tuple
            The position, and the tags in its terms.

        Raises
        ------
        TaggerError
            If a tag is in no version, or the version is not known and the tags have meant
            different things.
        """
        facets = {facet.name for facet in self.taxonomy.facets}
        given = {name: tuple(tags) for name, tags in chosen.items() if name in facets}
        by_time = self.position(None, time)
        places = [*range(by_time, -1, -1), *range(by_time + 1, self.today + 1)]
        asked = self._positions_of(version)
        if asked:
            places.insert(0, self.position(version, time))
        for place in places:
            if self._has(place, given):
                if version and not asked:
                    self._refuse_if_ambiguous(given, version)
                return place, given
        together: dict[str, dict[str, None]] = {name: {} for name in given}
        for name, tags in given.items():
            for tag in tags:
                place = next((p for p in places if self._has(p, {name: (tag,)})), None)
                if place is None:
                    raise TaggerError(f"has a tag that the taxonomy lacks: {name}: {tag}")
                together[name] |= dict.fromkeys(self.rewrite({name: (tag,)}, place).get(name, ()))
        return self.today, {name: tuple(tags) for name, tags in together.items()}

    def _refuse_if_ambiguous(self, given: Tags, version: str) -> None:
        """Refuse tags of a version that is not known if it matters which one they are of."""
        meanings = [
            self.rewrite(given, place) for place in range(self.today + 1) if self._has(place, given)
        ]
        if any(meaning != meanings[0] for meaning in meanings):
            raise TaggerError(
                f"was asked in a version of the taxonomy that its history lacks ({version}), and "
                "its tags have meant different things"
            )

    def _has(self, position: int, given: Tags) -> bool:
        known = {facet.name: facet.tag_names for facet in self.taxonomy_at(position).facets}
        return all(set(tags) <= set(known.get(name, ())) for name, tags in given.items() if tags)


def open_history(folder: Path) -> TaxonomyHistory:
    """Read the taxonomy of a label folder with its history; finish a change that was cut short.

    Raises
    ------
    TaggerError
        If the taxonomy is missing or not valid, or a line of the history is damaged.
    """
    history = _read(folder)
    if _is_half_done(history):
        with exclusively(folder / TAXONOMY_FILE):
            # Perhaps it was no kill, but a change that was under way.
            history = _read(folder)
            if _is_half_done(history):
                with replacing(folder / TAXONOMY_FILE) as file:
                    file.write(history.entries[-1].to_text)
                history = _read(folder)
    return history


def _read(folder: Path) -> TaxonomyHistory:
    # In this order a change made meanwhile looks half done, and is waited for.
    taxonomy = load_taxonomy(folder / TAXONOMY_FILE)
    path = folder / HISTORY_FILE
    entries = [entry for _, entry in read_lines(path, HistoryEntry)] if path.exists() else []
    for entry in entries[-1:]:
        # It may be written into the taxonomy file.
        parse_taxonomy(entry.to_text, path)
    return TaxonomyHistory(taxonomy, entries)


def _is_half_done(history: TaxonomyHistory) -> bool:
    return bool(history.entries) and history.taxonomy.version == history.entries[-1].from_version


def changed_text(folder: Path, taxonomy: Taxonomy, change: Change) -> tuple[str, str]:
    """Return the text of the taxonomy file, and what a change makes of it.

    Raises
    ------
    TaggerError
        If the taxonomy does not allow the change, the file is no longer that of the taxonomy, or
        it is laid out in a way that cannot be edited.
    """
    path = folder / TAXONOMY_FILE
    text = path.read_bytes().decode("utf-8-sig")
    if parse_taxonomy(text, path) != taxonomy:
        raise TaggerError(
            "has been changed meanwhile", path=path, hint="See what is there, then try again"
        )
    kept = change.entries_kept(facet_of(taxonomy, change.facet))
    return text, edit_taxonomy(text, change.apply(taxonomy), change.facet, kept, path)


def record_change(
    folder: Path,
    taxonomy: Taxonomy,
    change: Change,
    who: str,
    reason: str | None,
    latest_label: datetime | None,
) -> HistoryEntry:
    """Make a change of the taxonomy of a label folder, whole or not at all.

    Parameters
    ----------
    folder:
        The label folder.
    taxonomy:
        What is to be changed; nothing is done if the folder has another one by now.
    change:
        The change.
    who, reason:
        Kept with it.
    latest_label:
        Time of the latest label in the folder.

    Raises
    ------
    TaggerError
        As :func:`changed_text`, or if the folder cannot be written to.
    """
    path = folder / HISTORY_FILE
    with exclusively(folder / TAXONOMY_FILE):
        history = open_history(folder)
        before, after = changed_text(folder, taxonomy, change)
        times = [datetime.now(UTC), *(entry.time for entry in history.entries[-1:])]
        times += [latest_label] if latest_label else []
        entry = HistoryEntry(
            change=change,
            exclusive=facet_of(taxonomy, change.facet).exclusive,
            from_version=taxonomy.version,
            to_version=change.apply(taxonomy).version,
            who=who,
            time=max(times),
            reason=reason,
            from_text=before,
            to_text=after,
        )
        lines = path.read_bytes().decode("utf-8") if path.exists() else ""
        with replacing(path) as file:
            file.write(lines + ("\n" if lines and lines[-1] != "\n" else ""))
            file.write(entry.model_dump_json(exclude_none=True) + "\n")
        with replacing(folder / TAXONOMY_FILE) as file:
            file.write(after)
    return entry
