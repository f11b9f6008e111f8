"""The taxonomy: facets, their tags, and what each tag means.

A taxonomy is a YAML file, for example::

    name: ml-papers
    facets:
      - name: contribution
        definition: What the paper contributes.
        exclusive: true
        tags:
          - name: survey
            definition: Organises existing work.
            examples: ["Ten Years of Word Vectors: A Survey"]

Errors name the line and the field. YAML aliases are refused: a taxonomy needs none, and they can
be nested into a file of a few lines that fills the memory. So are YAML's types: all that a taxonomy
says is text, but for true, false and null.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
)

from tagger.errors import TaggerError
from tagger.validation import field_name, first_problem

NAME_HINT = "A name is lower-case letters, digits, '-' and '_', at most 50 of them"
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$")]
MOST_LEVELS = 20
"""How many tags may stand above one another."""
MOST_EXAMPLES = 200
"""How many examples a tag may have."""
_LONGEST = 500_000
_DEEPEST = 50
"""How deep YAML may be nested: a taxonomy is at the fifth level."""
# Control characters but for line breaks and tabs, what turns text round, halves of surrogate pairs.
_NO_TEXT = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def _check_text(text: str) -> str:
    found = _NO_TEXT.search(text)
    if found:
        raise ValueError(f"the character U+{ord(found[0]):04X} is no part of a text")
    return text


Definition = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    # Comes first: halves of surrogate pairs are no text to whoever counts its length.
    BeforeValidator(lambda given: _check_text(given) if isinstance(given, str) else given),
]
_Location = tuple[str | int, ...]
# libyaml reads ten times as fast, where PyYAML has it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OPENING = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Tag(_Model):
    """One tag. A paper with a tag has the tag's ``parent``, and the parent's parent, as well.

    ``examples`` are titles or sentences typical of it, made up or not, as in SKOS
    (https://www.w3.org/TR/skos-reference/#notes).
    """

    name: Name
    definition: Definition
    parent: Name | None = None
    examples: Annotated[tuple[Definition, ...], Field(max_length=MOST_EXAMPLES)] = ()

    @model_serializer(mode="wrap")
    def _without_empty_list(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave examples out where there are none, so that versions stay what they were."""
        content: dict[str, Any] = handler(self)
        if not self.examples:
            content.pop("examples", None)
        return content


class Facet(_Model):
    """One question asked of every paper.

    An ``exclusive`` facet is answered by exactly one tag, any other by none, one or several.
    """

    name: Name
    definition: Definition
    exclusive: bool = False
    tags: Annotated[tuple[Tag, ...], Field(min_length=1)]

    @cached_property
    def tag_names(self) -> tuple[str, ...]:
        """Names of the tags in the order of the file."""
        return tuple(tag.name for tag in self.tags)

    @cached_property
    def definitions(self) -> tuple[str, ...]:
        """Name and definition of each tag, as texts to be encoded."""
        return tuple(f"{tag.name}. {tag.definition}" for tag in self.tags)

    @cached_property
    def examples(self) -> tuple[str, ...]:
        """Examples of all tags, those of the first tag first."""
        return tuple(example for tag in self.tags for example in tag.examples)

    @cached_property
    def descriptions(self) -> tuple[str, ...]:
        """All that is said of tags, as texts to be encoded: ``definitions``, then ``examples``."""
        return (*self.definitions, *self.examples)

    @cached_property
    def described_tags(self) -> tuple[int, ...]:
        """The place among ``tags`` of the tag that each of ``descriptions`` is of."""
        places = range(len(self.tags))
        return (*places, *(place for place in places for _ in self.tags[place].examples))

    @cached_property
    def implied(self) -> tuple[tuple[bool, ...], ...]:
        """Per tag, which tags of the facet a paper has that has it."""
        closed = [self.with_ancestors((name,)) for name in self.tag_names]
        return tuple(tuple(name in tags for name in self.tag_names) for tags in closed)

    @cached_property
    def _ancestors(self) -> dict[str, tuple[str, ...]]:
        parents = {tag.name: tag.parent for tag in self.tags}
        chains = {}
        for name in parents:
            chain = []
            above = parents[name]
            while above is not None:
                chain.append(above)
                above = parents[above]
            chains[name] = tuple(chain)
        return chains

    def ancestors(self, tag: str) -> tuple[str, ...]:
        """Return the tags that ``tag`` implies, nearest first.

        Raises
        ------
        KeyError
            If the facet has no such tag.
        """
        return self._ancestors[tag]

    def with_ancestors(self, tags: Iterable[str]) -> tuple[str, ...]:
        """Return ``tags`` and all that they imply, in the order of the facet.

        In an exclusive facet the tags are returned as they are: one tag is the answer.
        """
        given = set(tags)
        if not self.exclusive:
            given.update(above for tag in tuple(given) for above in self.ancestors(tag))
        return tuple(name for name in self.tag_names if name in given)


class Taxonomy(_Model):
    """A named set of facets."""

    name: Name
    facets: Annotated[tuple[Facet, ...], Field(min_length=1)]

    @cached_property
    def version(self) -> str:
        """``name@digest``: changes whenever a name, a definition, an example or a relation does."""
        content = json.dumps(self.model_dump(), sort_keys=True, ensure_ascii=True)
        return f"{self.name}@{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def facet(self, name: str) -> Facet:
        """Return the facet of that name.

        Raises
        ------
        KeyError
            If there is none.
        """
        for facet in self.facets:
            if facet.name == name:
                return facet
        raise KeyError(name)

    def with_ancestors(self, tags: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
        """Return the tags of a paper and all that they imply.

        Facets whose tags do not fit, see :meth:`check_tags`, are returned as they are.
        """
        known = {facet.name: facet for facet in self.facets}
        closed = {}
        for name, given in tags.items():
            facet = known.get(name)
            fits = facet and set(given) <= set(facet.tag_names) and len(set(given)) == len(given)
            closed[name] = facet.with_ancestors(given) if facet and fits else tuple(given)
        return closed

    def check_tags(self, tags: Mapping[str, Iterable[str]]) -> None:
        """Check that the tags of a paper fit the taxonomy.

        Raises
        ------
        TaggerError
            With the field, if a facet or a tag is unknown, a tag is given twice, or an exclusive
            facet has not exactly one tag.
        """
        known = {facet.name: facet for facet in self.facets}
        for name, given in tags.items():
            facet = known.get(name)
            if facet is None:
                raise TaggerError(
                    f"unknown facet '{name}'", field="tags", hint=f"Known: {', '.join(known)}"
                )
            chosen = list(given)
            for tag in chosen:
                if tag not in facet.tag_names:
                    raise TaggerError(
                        f"unknown tag '{tag}'",
                        field=f"tags.{name}",
                        hint=f"Known: {', '.join(facet.tag_names)}",
                    )
            if len(set(chosen)) != len(chosen):
                raise TaggerError("a tag is given twice", field=f"tags.{name}")
            if facet.exclusive and len(chosen) != 1:
                raise TaggerError(
                    f"exactly one tag is needed here, {len(chosen)} are given", field=f"tags.{name}"
                )


def load_taxonomy(path: str | Path) -> Taxonomy:
    """Read and validate a taxonomy file.

    Raises
    ------
    TaggerError
        With file, line and field, if the file is missing, not YAML, or not a taxonomy: a field
        is missing or unknown, a name is used twice, a parent does not exist or is its own
        ancestor.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise TaggerError("no such taxonomy file", path=path) from error
    except UnicodeDecodeError as error:
        raise TaggerError("is not UTF-8 text", path=path) from error
    except OSError as error:
        raise TaggerError(f"cannot be read ({error.strerror or error})", path=path) from error
    return parse_taxonomy(text, path)


def parse_taxonomy(text: str, path: Path) -> Taxonomy:
    """Validate the text of a taxonomy file.

    Parameters
    ----------
    text:
        YAML.
    path:
        The file that errors name.

    Raises
    ------
    TaggerError
        As :func:`load_taxonomy`.
    """
    if len(text) > _LONGEST:
        raise TaggerError(
            f"has {len(text):,} characters, more than the {_LONGEST:,} of a taxonomy", path=path
        )
    content, lines = _parse_yaml(text, path)
    try:
        taxonomy = Taxonomy.model_validate(content)
    except ValidationError as error:
        raise _first_problem(error, path, lines) from error
    check_names(taxonomy, path, lines)
    return taxonomy


def _parse_yaml(text: str, path: Path) -> tuple[Any, dict[_Location, int]]:
    """Return the content and, for each place in it, its line."""
    try:
        _refuse_traps(text, path)
        root = yaml.compose(text, Loader=_LOADER)
        lines: dict[_Location, int] = {}
        if root is None:
            return None, lines
        _note_lines(root, (), lines, path)
        return _content_of(root), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise TaggerError(
            f"is not valid YAML: {error.problem or error.context}",
            path=path,
            line=None if mark is None else mark.line + 1,
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise TaggerError(
            f"is not valid YAML: {' '.join(str(error).split())}", path=path
        ) from error
    except RecursionError as error:
        raise TaggerError("is nested too deeply", path=path) from error


def _refuse_traps(text: str, path: Path) -> None:
    """Refuse what a taxonomy needs not and a trap is made of, before anything is built of it."""
    depth = 0
    for token in yaml.scan(text, Loader=_LOADER):
        problem = None
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken):
            problem = "YAML anchors and aliases are not allowed here"
        elif isinstance(token, yaml.TagToken):
            problem = "YAML types are not allowed here"
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > _DEEPEST:
            problem = "is nested too deeply"
        if problem:
            raise TaggerError(problem, path=path, line=token.start_mark.line + 1)


def _content_of(node: yaml.Node) -> Any:
    """Return what a node says: lists, fields with values, texts, true, false, null."""
    if isinstance(node, yaml.SequenceNode):
        return [_content_of(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _content_of(value) for key, value in node.value}
    if node.tag == "tag:yaml.org,2002:null":
        return None
    if node.tag == "tag:yaml.org,2002:bool":
        return yaml.SafeLoader.bool_values[node.value.lower()]
    return node.value


def _note_lines(
    node: yaml.Node, location: _Location, lines: dict[_Location, int], path: Path
) -> None:
    lines[location] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _note_lines(item, (*location, number), lines, path)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*location, str(key.value))
            if place in lines:
                raise TaggerError(
                    f"the field '{key.value}' is given twice",
                    path=path,
                    line=key.start_mark.line + 1,
                    field=field_name(place),
                )
            _note_lines(value, place, lines, path)
            lines[place] = key.start_mark.line + 1


def _first_problem(
    error: ValidationError, path: Path, lines: Mapping[_Location, int]
) -> TaggerError:
    invalid = first_problem(error)
    hint = NAME_HINT if invalid.kind == "string_pattern_mismatch" else invalid.hint
    known = invalid.location
    while known not in lines and known:
        known = known[:-1]
    return TaggerError(
        invalid.problem, path=path, line=lines.get(known, 1), field=invalid.field, hint=hint
    )


def check_names(
    taxonomy: Taxonomy,
    path: Path | None = None,
    lines: Mapping[tuple[str | int, ...], int] | None = None,
) -> None:
    """Check what no single field can show: names that are unique, parents that exist.

    Parameters
    ----------
    taxonomy:
        What to check.
    path, lines:
        The file it comes from and, for each place in it, the line, for errors to name.

    Raises
    ------
    TaggerError
        If a name is used twice, a parent does not exist or is its own ancestor, or an exclusive
        facet has fewer than two tags.
    """

    def problem(text: str, *location: str | int, hint: str | None = None) -> TaggerError:
        line = lines[location] if lines else None
        return TaggerError(text, path=path, line=line, field=field_name(location), hint=hint)

    facets: set[str] = set()
    for i, facet in enumerate(taxonomy.facets):
        if facet.name in facets:
            raise problem(f"the facet '{facet.name}' is there twice", "facets", i, "name")
        facets.add(facet.name)
        tags: set[str] = set()
        for j, tag in enumerate(facet.tags):
            if tag.name in tags:
                raise problem(
                    f"the tag '{tag.name}' is there twice", "facets", i, "tags", j, "name"
                )
            tags.add(tag.name)
        parents = {tag.name: tag.parent for tag in facet.tags}
        for j, tag in enumerate(facet.tags):
            seen = {tag.name}
            above = tag.parent
            while above is not None:
                place = ("facets", i, "tags", j, "parent")
                if above not in parents:
                    raise problem(
                        f"the parent '{above}' is no tag of the facet '{facet.name}'",
                        *place,
                        hint=f"Known: {', '.join(parents)}",
                    )
                if above in seen:
                    raise problem(f"the tag '{tag.name}' is its own ancestor", *place)
                if len(seen) > MOST_LEVELS:
                    raise problem(f"more than {MOST_LEVELS} tags stand above '{tag.name}'", *place)
                seen.add(above)
                above = parents[above]
        if facet.exclusive and len(facet.tags) < 2:
            raise problem(
                "an exclusive facet needs at least two tags to choose from", "facets", i, "tags"
            )
