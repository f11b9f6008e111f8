"""In what two taxonomies differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tagger.taxonomy import Facet, Tag, Taxonomy


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Parameters
    ----------
    facet, tag:
        Where: the name afterwards, or before if it is gone; ``tag`` is None for a facet as a whole.
    kind:
        ``renamed``: another name and the same definition. ``redefined``: another definition.
        ``moved``: another parent. ``illustrated``: other examples. ``reformed``: exclusive, or no
        longer. ``reordered``: the tags stand in another order.
    before, after:
        What it was and is: a name, a definition, a parent, the number of examples.
    """

    facet: str
    tag: str | None
    kind: Literal[
        "added",
        "removed",
        "renamed",
        "redefined",
        "moved",
        "illustrated",
        "reformed",
        "reordered",
    ]
    before: str | None = None
    after: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the difference for a script."""
        return asdict(self)

    def describe(self) -> str:
        """Say the difference in one line."""
        place = f"{self.facet}/{self.tag}" if self.tag else self.facet
        if self.kind in ("added", "removed"):
            return f"{'+' if self.kind == 'added' else '-'} {place}: {self.after or self.before}"
        if self.kind == "reordered":
            return f"~ {place} is in another order"
        if self.kind == "illustrated":
            return f"~ {place} has other examples: {self.before} -> {self.after}"
        return f"~ {place} {self.kind}: {self.before or 'none'} -> {self.after or 'none'}"


def compare_taxonomies(before: Taxonomy, after: Taxonomy) -> list[Difference]:
    """Return in what a taxonomy differs from an earlier one.

    A tag that is gone and a tag that is new are one that was renamed if both have the same
    definition.
    """
    old = {facet.name: facet for facet in before.facets}
    new = {facet.name: facet for facet in after.facets}
    found: list[Difference] = []
    for name in old:
        if name not in new:
            found.append(Difference(name, None, "removed", before=old[name].definition))
    for name, facet in new.items():
        if name not in old:
            found.append(Difference(name, None, "added", after=facet.definition))
        else:
            found += _compare_facets(old[name], facet)
    if before.name != after.name:
        found.append(Difference(after.name, None, "renamed", before.name, after.name))
    if [name for name in old if name in new] != [name for name in new if name in old]:
        found.append(Difference(after.name, None, "reordered"))
    return found


def _compare_facets(before: Facet, after: Facet) -> Iterator[Difference]:
    name = after.name
    if before.definition != after.definition:
        yield Difference(name, None, "redefined", before.definition, after.definition)
    if before.exclusive != after.exclusive:
        forms = ["exclusive" if one.exclusive else "not exclusive" for one in (before, after)]
        yield Difference(name, None, "reformed", *forms)
    old = {tag.name: tag for tag in before.tags}
    new = {tag.name: tag for tag in after.tags}
    renamed = _renamed(
        [tag for tag in before.tags if tag.name not in new],
        [tag for tag in after.tags if tag.name not in old],
    )
    same = {now: was for was, now in renamed.items()} | {tag: tag for tag in new if tag in old}
    for tag in before.tags:
        if tag.name not in new and tag.name not in renamed:
            yield Difference(name, tag.name, "removed", before=tag.definition)
    for tag in after.tags:
        if tag.name not in same:
            yield Difference(name, tag.name, "added", after=tag.definition)
            continue
        was = old[same[tag.name]]
        if was.name != tag.name:
            yield Difference(name, tag.name, "renamed", was.name, tag.name)
        if was.definition != tag.definition:
            yield Difference(name, tag.name, "redefined", was.definition, tag.definition)
        if renamed.get(was.parent or "", was.parent) != tag.parent:
            yield Difference(name, tag.name, "moved", was.parent, tag.parent)
        if was.examples != tag.examples:
            counts = str(len(was.examples)), str(len(tag.examples))
            yield Difference(name, tag.name, "illustrated", *counts)
    order = [same[tag.name] for tag in after.tags if tag.name in same]
    if order != [tag.name for tag in before.tags if tag.name in order]:
        yield Difference(name, None, "reordered")


def _renamed(gone: Sequence[Tag], new: Sequence[Tag]) -> dict[str, str]:
    """Return the new name of each tag that is gone and came back under another one."""
    found: dict[str, str] = {}
    for tag in gone:
        for other in new:
            if other.definition == tag.definition and other.name not in found.values():
                found[tag.name] = other.name
                break
    return found
