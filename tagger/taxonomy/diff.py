"""Compare two taxonomies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tagger.taxonomy.schema import Facet, Taxonomy

_Kind = Literal[
    "added",
    "removed",
    "renamed",
    "redefined",
    "moved",
    "illustrated",
    "cued",
    "reformed",
    "reordered",
]
_IN_WORDS = {
    "illustrated": "has other examples",
    "cued": "has other cues",
    "moved": "has another parent",
    "reformed": "has another form",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between two taxonomies, with the values ``before`` and ``after``.

    ``facet`` and ``tag`` are the names afterwards, unless it was removed. An ``illustrated`` tag
    has other examples, a ``cued`` one other cues, a ``moved`` one another parent; a ``reformed``
    facet became exclusive or non-exclusive.
    """

    facet: str
    tag: str | None
    kind: _Kind
    before: str | None = None
    after: str | None = None

    def describe(self) -> str:
        place = f"{self.facet}/{self.tag}" if self.tag else self.facet
        if self.kind == "added":
            return f"+ {place}: {self.after}"
        if self.kind == "removed":
            return f"- {place}: {self.before}" + (f" -> {self.after}" if self.after else "")
        if self.kind == "reordered":
            return f"~ {place} is in another order"
        kind = _IN_WORDS.get(self.kind, self.kind)
        return f"~ {place} {kind}: {self.before or 'none'} -> {self.after or 'none'}"


def compare_taxonomies(before: Taxonomy, after: Taxonomy) -> list[Difference]:
    """Return the differences of a taxonomy from an earlier one."""
    old = {facet.name: facet for facet in before.facets}
    new = {facet.name: facet for facet in after.facets}
    found = [
        Difference(name, None, "removed", facet.definition)
        for name, facet in old.items()
        if name not in new
    ]
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
    # The current name of each earlier tag that still exists, possibly renamed.
    names = {tag: tag for tag in after.tag_names if tag in old}
    for gone in [tag for tag in old if tag not in names]:
        for now in after.meanings.get(gone, ()):
            if now not in old and now not in names.values():
                names[gone] = now
    for tag in before.tags:
        if tag.name not in names:
            into = ", ".join(after.meanings.get(tag.name, ())) or None
            yield Difference(name, tag.name, "removed", tag.definition, into)
    was = {now: old[tag] for tag, now in names.items()}
    for tag in after.tags:
        if tag.name not in was:
            yield Difference(name, tag.name, "added", after=tag.definition)
            continue
        earlier = was[tag.name]
        if earlier.name != tag.name:
            yield Difference(name, tag.name, "renamed", earlier.name, tag.name)
        if earlier.definition != tag.definition:
            yield Difference(name, tag.name, "redefined", earlier.definition, tag.definition)
        if names.get(earlier.parent or "", earlier.parent) != tag.parent:
            yield Difference(name, tag.name, "moved", earlier.parent, tag.parent)
        if earlier.examples != tag.examples:
            counts = str(len(earlier.examples)), str(len(tag.examples))
            yield Difference(name, tag.name, "illustrated", *counts)
        if earlier.cues != tag.cues:
            counts = str(len(earlier.cues)), str(len(tag.cues))
            yield Difference(name, tag.name, "cued", *counts)
    order = [was[tag.name].name for tag in after.tags if tag.name in was]
    if order != [tag.name for tag in before.tags if tag.name in order]:
        yield Difference(name, None, "reordered")
