"""Taxonomies: facets and the definitions of their tags.

Labels and results may use former names of tags. A tag lists the names that it replaces
(``replaces``), a facet the names without successor (``retired``), and :meth:`Taxonomy.read`
translates them to current tags. A former name therefore never gets a new meaning.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    field_serializer,
    model_serializer,
)

from tagger._util.validation import field_name
from tagger.errors import TaggerError

TAXONOMY_FILE = "taxonomy.yaml"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
MAX_LEVELS = 20
"""Maximum depth of the tag hierarchy."""
MAX_EXAMPLES = 200
"""Maximum number of examples of a tag."""
Tags = Mapping[str, Sequence[str]]
"""The tags of one paper per facet."""
Location = tuple[str | int, ...]
"""A location in nested data, such as ``("facets", 0, "name")``."""
# Control characters except line breaks and tabs, bidirectional overrides, lone surrogates.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_UNVERSIONED = {"label", "replaces", "since", "retired"}
"""Fields that change neither the meaning of a tag nor the version of a taxonomy."""


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"'{name[:60]}' is not a valid name; use at most 50 lower-case letters, digits, '-' "
            "and '_', and begin with a letter or digit"
        )
    return name


def _check_text(text: Any) -> Any:
    if isinstance(text, str) and (found := _UNSAFE.search(text)):
        raise ValueError(f"the character U+{ord(found[0]):04X} is not allowed in texts")
    return text


Name = Annotated[str, AfterValidator(_check_name)]
Definition = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    # Runs first, because pydantic cannot measure a text with a lone surrogate.
    BeforeValidator(_check_text),
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @model_serializer(mode="wrap")
    def _without_empty_fields(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        optional = {"examples", "cues", *_UNVERSIONED}
        return {name: value for name, value in content.items() if value or name not in optional}


class Tag(_Model):
    """One tag of a facet.

    Attributes
    ----------
    name, label:
        The name in files; the label is displayed in its place.
    definition:
        One or two sentences, in the words that abstracts use.
    parent:
        A more general tag of the same facet. A paper with this tag also has all its ancestors.
    replaces:
        Former names, translated to this tag in older labels. A name that several tags list is
        translated to all of them.
    since:
        Time when the tag was added. Papers labelled before are to be reviewed again.
    examples:
        Typical titles or sentences, real or invented, as in SKOS
        (https://www.w3.org/TR/skos-reference/#notes).
    cues:
        Exact phrases that speak for the tag, such as "double-blind" or ": a survey". They count
        before there are labels; labels then teach how much.
    """

    name: Name
    label: Definition | None = None
    definition: Definition
    parent: Name | None = None
    replaces: tuple[Name, ...] = ()
    since: AwareDatetime | None = None
    examples: Annotated[tuple[Definition, ...], Field(max_length=MAX_EXAMPLES)] = ()
    cues: Annotated[tuple[Definition, ...], Field(max_length=MAX_EXAMPLES)] = ()

    @property
    def hint(self) -> str:
        """Text displayed to reviewers: the label, if any, and the definition."""
        return f"{self.label}: {self.definition}" if self.label else self.definition

    @field_serializer("since")
    def _as_text(self, since: datetime | None) -> str | None:
        return since.isoformat() if since else None


class Facet(_Model):
    """One question about every paper, with the tags that answer it.

    An ``exclusive`` facet is answered by exactly one tag, another facet by any number of tags.
    ``retired`` lists names of removed tags, which are ignored in older labels.
    """

    name: Name
    definition: Definition
    exclusive: bool = False
    retired: tuple[Name, ...] = ()
    tags: Annotated[tuple[Tag, ...], Field(min_length=1)]

    @cached_property
    def tag_names(self) -> tuple[str, ...]:
        """Names of the tags, in the order of the file."""
        return tuple(tag.name for tag in self.tags)

    @cached_property
    def descriptions(self) -> tuple[str, ...]:
        """Texts for the encoder: the definitions of all tags, then the examples of all tags."""
        definitions = (f"{tag.name}. {tag.definition}" for tag in self.tags)
        return (*definitions, *(example for tag in self.tags for example in tag.examples))

    @cached_property
    def meanings(self) -> dict[str, tuple[str, ...]]:
        """Current tags by current or former name; empty for a retired name."""
        found: dict[str, tuple[str, ...]] = dict.fromkeys(self.retired, ())
        for tag in self.tags:
            for name in tag.replaces:
                found[name] = (*found.get(name, ()), tag.name)
        return found | {name: (name,) for name in self.tag_names}

    @cached_property
    def _parents(self) -> dict[str, str | None]:
        return {tag.name: tag.parent for tag in self.tags}

    def ancestors(self, tag: str) -> tuple[str, ...]:
        """Return the ancestors of a tag, nearest first; KeyError if the tag is unknown."""
        parent = self._parents[tag]
        return () if parent is None else (parent, *self.ancestors(parent))

    def with_ancestors(self, tags: Iterable[str]) -> tuple[str, ...]:
        """Return ``tags`` and their ancestors, in the order of the facet.

        In an exclusive facet, which has one tag as its answer, no ancestors are added.
        """
        found = set(tags)
        if not self.exclusive:
            found.update(above for tag in tuple(found) for above in self.ancestors(tag))
        return tuple(name for name in self.tag_names if name in found)

    def read(self, names: Iterable[str]) -> tuple[str, ...]:
        """Translate names to current tags with their ancestors; KeyError if a name is unknown."""
        return self.with_ancestors(tag for name in names for tag in self.meanings[name])


class Taxonomy(_Model):
    """A named set of facets."""

    name: Name
    facets: Annotated[tuple[Facet, ...], Field(min_length=1)]

    @cached_property
    def version(self) -> str:
        """``name@digest`` of all names, definitions, examples and relations."""
        fields = self.model_dump()
        for facet in fields["facets"]:
            for part in (facet, *facet["tags"]):
                for field in _UNVERSIONED & part.keys():
                    del part[field]
        content = json.dumps(fields, sort_keys=True, ensure_ascii=True)
        return f"{self.name}@{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    @cached_property
    def _facets(self) -> dict[str, Facet]:
        return {facet.name: facet for facet in self.facets}

    def facet(self, name: str) -> Facet:
        """Return the facet of that name; raise a TaggerError if it is unknown."""
        if name not in self._facets:
            known = ", ".join(self._facets)
            raise TaggerError(f"unknown facet '{name}'", hint=f"Known: {known}")
        return self._facets[name]

    def read(self, tags: Tags) -> dict[str, tuple[str, ...]]:
        """Translate the tags of a paper to current tags with their ancestors.

        An exclusive facet whose tag is retired is left out: it counts as not annotated. A facet
        with unknown or repeated tags is returned unchanged, for :meth:`check_tags`.
        """
        found = {}
        for name, names in tags.items():
            facet = self._facets.get(name)
            if facet is None or len(set(names)) < len(names) or set(names) - facet.meanings.keys():
                found[name] = tuple(names)
            elif (now := facet.read(names)) or not names or not facet.exclusive:
                found[name] = now
        return found

    def check_tags(self, tags: Mapping[str, Iterable[str]]) -> None:
        """Check the tags of a paper against the taxonomy.

        Raises a TaggerError with the field if a facet or tag is unknown, a tag is repeated, or an
        exclusive facet does not have exactly one tag.
        """
        for name, names in tags.items():
            try:
                facet = self.facet(name)
            except TaggerError as error:
                error.field = "tags"
                raise
            chosen, problem, hint = list(names), None, None
            if unknown := [tag for tag in chosen if tag not in facet.tag_names]:
                problem = f"unknown tag '{unknown[0]}'"
                hint = f"Known: {', '.join(facet.tag_names)}"
            elif len(set(chosen)) != len(chosen):
                problem = "a tag is repeated"
            elif facet.exclusive and len(chosen) != 1:
                problem = f"expected exactly one tag, found {len(chosen)}"
            if problem:
                raise TaggerError(problem, field=f"tags.{name}", hint=hint)


def check_names(
    taxonomy: Taxonomy,
    path: Path | None = None,
    line_of: Callable[[Location], int | None] = lambda _: None,
) -> None:
    """Check the rules that concern several fields of a taxonomy.

    ``line_of`` returns the line of a location in the file ``path``. Raises a TaggerError if a name
    is repeated, a former name is also a current one or has several successors in an exclusive
    facet, a parent is unknown, a tag is its own ancestor, the hierarchy is too deep, or an
    exclusive facet has fewer than two tags.
    """
    facets: set[str] = set()
    for i, facet in enumerate(taxonomy.facets):
        if found := next(_facet_problems(facet, facets), None):
            location, text, hint = found
            place = ("facets", i, *location)
            raise TaggerError(
                text, path=path, line=line_of(place), field=field_name(place), hint=hint
            )
        facets.add(facet.name)


def _facet_problems(
    facet: Facet, facets: Collection[str]
) -> Iterator[tuple[Location, str, str | None]]:
    """Yield the location in the facet, the description and the hint of its first problem."""
    if facet.name in facets:
        yield ("name",), f"the facet '{facet.name}' is repeated", None
    parents = {tag.name: tag.parent for tag in facet.tags}
    names: set[str] = set()
    former: set[str] = set()
    for j, tag in enumerate(facet.tags):
        if tag.name in names:
            yield ("tags", j, "name"), f"the tag '{tag.name}' is repeated", None
        names.add(tag.name)
        for name in tag.replaces:
            if name in parents:
                yield ("tags", j, "replaces"), f"'{name}' is a current tag of this facet", None
            if facet.exclusive and name in former:
                yield ("tags", j, "replaces"), f"two tags replace '{name}'", None
        former.update(tag.replaces)
        chain = [tag.name]
        while (above := parents[chain[-1]]) is not None:
            place = ("tags", j, "parent")
            if above not in parents:
                known = f"Known: {', '.join(parents)}"
                yield place, f"the facet '{facet.name}' has no tag '{above}'", known
            if above in chain:
                yield place, f"the tag '{tag.name}' is its own ancestor", None
            if len(chain) > MAX_LEVELS:
                yield place, f"'{tag.name}' has more than {MAX_LEVELS} ancestors", None
            chain.append(above)
    if used := (former | names).intersection(facet.retired):
        yield ("retired",), f"the retired name '{min(used)}' is also used by a tag", None
    if facet.exclusive and len(facet.tags) < 2:
        yield ("tags",), "an exclusive facet needs at least two tags", None
