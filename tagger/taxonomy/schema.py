"""The taxonomy: facets, their tags, and what each tag means.

A label, an answer or a result may use any name that a tag ever had: a tag lists its former names
(``replaces``), a facet those that are given no more (``retired``), and what was said under them is
read in today's terms. So an old name never gets a new meaning. :mod:`tagger.taxonomy.file` reads
and writes taxonomies.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
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
NAME_HINT = "A name is lower-case letters, digits, '-' and '_', at most 50 of them"
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$")]
MOST_LEVELS = 20
"""How many tags may stand above one another."""
MOST_EXAMPLES = 200
"""How many examples a tag may have."""
Tags = Mapping[str, Sequence[str]]
"""The tags of one paper per facet."""
Location = tuple[str | int, ...]
"""A place in nested data, such as ``("facets", 0, "name")``."""
# Control characters except line breaks and tabs, bidirectional overrides, lone surrogates.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_ADDITIONS = {"label", "replaces", "since", "retired"}
"""Fields that change neither what a tag means nor, therefore, the version of a taxonomy."""


def _check_text(text: Any) -> Any:
    if isinstance(text, str) and (found := _UNSAFE.search(text)):
        raise ValueError(f"the character U+{ord(found[0]):04X} is not allowed in a text")
    return text


Definition = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    # Runs first: the length of a lone surrogate cannot be counted.
    BeforeValidator(_check_text),
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    @model_serializer(mode="wrap")
    def _without_empty_fields(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        optional = {"examples", *_ADDITIONS}
        return {name: value for name, value in content.items() if value or name not in optional}


class Tag(_Model):
    """One tag. A paper with a tag has the tag's ``parent``, and the parent's parent, as well.

    ``examples`` are titles or sentences typical of it, made up or not, as in SKOS
    (https://www.w3.org/TR/skos-reference/#notes). ``label`` is what people are shown in place of
    the name. ``replaces`` lists names that stand for this tag in older labels; one that several
    tags list stands for all of them. Labels given before ``since`` were given without the tag, and
    are to be looked at again.
    """

    name: Name
    label: Definition | None = None
    definition: Definition
    parent: Name | None = None
    replaces: tuple[Name, ...] = ()
    since: AwareDatetime | None = None
    examples: Annotated[tuple[Definition, ...], Field(max_length=MOST_EXAMPLES)] = ()

    @property
    def hint(self) -> str:
        """What people are told of the tag: its label, if it has one, and its definition."""
        return f"{self.label}: {self.definition}" if self.label else self.definition

    @field_serializer("since")
    def _as_text(self, since: datetime | None) -> str | None:
        return since.isoformat() if since else None


class Facet(_Model):
    """One question asked of every paper.

    An ``exclusive`` facet is answered by exactly one tag, any other by none, one or several.
    ``retired`` lists names of tags that are given no more: in older labels they say nothing.
    """

    name: Name
    definition: Definition
    exclusive: bool = False
    retired: tuple[Name, ...] = ()
    tags: Annotated[tuple[Tag, ...], Field(min_length=1)]

    @cached_property
    def tag_names(self) -> tuple[str, ...]:
        """Names of the tags in the order of the file."""
        return tuple(tag.name for tag in self.tags)

    @cached_property
    def descriptions(self) -> tuple[str, ...]:
        """Texts on the tags, to be encoded: the definition of each, then the examples of all."""
        definitions = (f"{tag.name}. {tag.definition}" for tag in self.tags)
        return (*definitions, *(example for tag in self.tags for example in tag.examples))

    @cached_property
    def readings(self) -> dict[str, tuple[str, ...]]:
        """The tags that each name stands for, former names included: none for a retired one."""
        found: dict[str, tuple[str, ...]] = dict.fromkeys(self.retired, ())
        for tag in self.tags:
            for name in tag.replaces:
                found[name] = (*found.get(name, ()), tag.name)
        return found | {name: (name,) for name in self.tag_names}

    @cached_property
    def _parents(self) -> dict[str, str | None]:
        return {tag.name: tag.parent for tag in self.tags}

    def ancestors(self, tag: str) -> tuple[str, ...]:
        """Return the tags that ``tag`` implies, nearest first; KeyError if there is no such tag."""
        parent = self._parents[tag]
        return () if parent is None else (parent, *self.ancestors(parent))

    def with_ancestors(self, tags: Iterable[str]) -> tuple[str, ...]:
        """Return ``tags`` and all that they imply, in the order of the facet.

        In an exclusive facet the tags are returned as they are: one tag is the answer.
        """
        given = set(tags)
        if not self.exclusive:
            given.update(above for tag in tuple(given) for above in self.ancestors(tag))
        return tuple(name for name in self.tag_names if name in given)

    def read(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the tags that names of any time stand for, and what these imply; or KeyError."""
        return self.with_ancestors(tag for name in names for tag in self.readings[name])


class Taxonomy(_Model):
    """A named set of facets."""

    name: Name
    facets: Annotated[tuple[Facet, ...], Field(min_length=1)]

    @cached_property
    def version(self) -> str:
        """``name@digest``: changes whenever a name, a definition, an example or a relation does."""
        said = self.model_dump()
        for facet in said["facets"]:
            for part in (facet, *facet["tags"]):
                for field in _ADDITIONS & part.keys():
                    del part[field]
        content = json.dumps(said, sort_keys=True, ensure_ascii=True)
        return f"{self.name}@{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    @cached_property
    def _facets(self) -> dict[str, Facet]:
        return {facet.name: facet for facet in self.facets}

    def facet(self, name: str) -> Facet:
        """Return the facet of that name; KeyError if there is none."""
        return self._facets[name]

    def read(self, tags: Tags) -> dict[str, tuple[str, ...]]:
        """Put the tags of a paper in today's terms, with all that they imply.

        An exclusive facet whose answer is retired is left out: it counts as not annotated. A facet
        whose tags are unknown or given twice is returned as it is, for :meth:`check_tags`.
        """
        found = {}
        for name, given in tags.items():
            facet = self._facets.get(name)
            if facet is None or len(set(given)) < len(given) or set(given) - facet.readings.keys():
                found[name] = tuple(given)
            elif (now := facet.read(given)) or not given or not facet.exclusive:
                found[name] = now
        return found

    def check_tags(self, tags: Mapping[str, Iterable[str]]) -> None:
        """Check that the tags of a paper fit: facets and tags are known, no tag is given twice, an
        exclusive facet has exactly one. A TaggerError names the field.
        """
        for name, given in tags.items():
            facet = self._facets.get(name)
            if facet is None:
                known = ", ".join(self._facets)
                raise TaggerError(f"unknown facet '{name}'", field="tags", hint=f"Known: {known}")
            chosen, problem, hint = list(given), None, None
            if unknown := [tag for tag in chosen if tag not in facet.tag_names]:
                problem = f"unknown tag '{unknown[0]}'"
                hint = f"Known: {', '.join(facet.tag_names)}"
            elif len(set(chosen)) != len(chosen):
                problem = "a tag is given twice"
            elif facet.exclusive and len(chosen) != 1:
                problem = f"exactly one tag is needed here, {len(chosen)} are given"
            if problem:
                raise TaggerError(problem, field=f"tags.{name}", hint=hint)


def check_names(
    taxonomy: Taxonomy,
    path: Path | None = None,
    line_of: Callable[[Location], int | None] = lambda _: None,
) -> None:
    """Check what no single field can show: names are unique, former names have no new meaning,
    parents exist, an exclusive facet has tags to choose from.

    A TaggerError names ``path`` and, by ``line_of``, the line of a place in it.
    """

    def problem(text: str, *location: str | int, hint: str | None = None) -> TaggerError:
        field = field_name(location)
        return TaggerError(text, path=path, line=line_of(location), field=field, hint=hint)

    facets: set[str] = set()
    for i, facet in enumerate(taxonomy.facets):
        if facet.name in facets:
            raise problem(f"the facet '{facet.name}' is there twice", "facets", i, "name")
        facets.add(facet.name)
        parents = {tag.name: tag.parent for tag in facet.tags}
        names: set[str] = set()
        former: set[str] = set()
        for j, tag in enumerate(facet.tags):
            place = ("facets", i, "tags", j)
            if tag.name in names:
                raise problem(f"the tag '{tag.name}' is there twice", *place, "name")
            names.add(tag.name)
            for name in tag.replaces:
                if name in parents:
                    raise problem(f"'{name}' is a tag, no former name", *place, "replaces")
                if facet.exclusive and name in former:
                    raise problem(f"two tags replace '{name}'", *place, "replaces")
            former.update(tag.replaces)
            chain = [tag.name]
            while (above := parents[chain[-1]]) is not None:
                wrong = hint = None
                if above not in parents:
                    wrong = f"the parent '{above}' is no tag of the facet '{facet.name}'"
                    hint = f"Known: {', '.join(parents)}"
                elif above in chain:
                    wrong = f"the tag '{tag.name}' is its own ancestor"
                elif len(chain) > MOST_LEVELS:
                    wrong = f"more than {MOST_LEVELS} tags stand above '{tag.name}'"
                if wrong:
                    raise problem(wrong, *place, "parent", hint=hint)
                chain.append(above)
        if used := (former | names).intersection(facet.retired):
            raise problem(
                f"'{min(used)}' is retired, and used all the same", "facets", i, "retired"
            )
        if facet.exclusive and len(facet.tags) < 2:
            raise problem(
                "an exclusive facet needs at least two tags to choose from", "facets", i, "tags"
            )
