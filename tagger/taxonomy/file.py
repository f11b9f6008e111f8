"""Taxonomy files: YAML that is read with errors that name the line, written, and edited in place.

A taxonomy looks like this::

    name: ml-papers
    facets:
      - name: contribution
        definition: What the paper contributes.
        exclusive: true
        retired: [essay]
        tags:
          - name: survey
            definition: Organises existing work.
            replaces: [overview]
            examples: ["Ten Years of Word Vectors: A Survey"]

All values are read as text, so that ``name: yes`` and ``name: 2024`` are names. YAML's anchors and
types are refused: a few lines of aliases can be nested into a text that fills the memory.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import CommentMark, MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import FoldedScalarString, LiteralScalarString
from ruamel.yaml.tag import Tag as YamlTag
from ruamel.yaml.tokens import CommentToken

from tagger._util.validation import first_problem
from tagger.errors import TaggerError
from tagger.taxonomy.schema import NAME_HINT, Taxonomy, check_names

_LONGEST = 500_000
_NULLS = ("", "~", "null", "Null", "NULL")


class _TextResolver(VersionedResolver):
    """Takes every plain value but null for a text."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and implicit[0]:
            return YamlTag(suffix=f"tag:yaml.org,2002:{'null' if value in _NULLS else 'str'}")
        return super().resolve(kind, value, implicit)


class _PlainComposer(Composer):
    """Refuses anchors, aliases and types before anything is built of them."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        for attribute, what in (("anchor", "anchors and aliases"), ("ctag", "types")):
            if getattr(event, attribute, None) is not None:
                raise MarkedYAMLError(
                    problem=f"{what} are not allowed here", problem_mark=event.start_mark
                )
        return super().compose_node(parent, index)


class TaxonomyDocument:
    """A taxonomy file: what it says, and its YAML to be edited, with comments and quotes."""

    def __init__(self, text: str, path: Path) -> None:
        self._text = text
        self.content = _parse_yaml(text.replace("\r\n", "\n"), path)
        try:
            self.taxonomy = Taxonomy.model_validate(self.content)
        except ValidationError as error:
            invalid = first_problem(error)
            hint = NAME_HINT if invalid.kind == "string_pattern_mismatch" else invalid.hint
            line = _line_of(self.content, invalid.location)
            raise TaggerError(
                invalid.problem, path=path, line=line, field=invalid.field, hint=hint
            ) from error
        check_names(self.taxonomy, path, lambda location: _line_of(self.content, location))

    def facet(self, name: str) -> CommentedMap:
        """Return the entry of a facet; its tags are in the order of the taxonomy's."""
        found: CommentedMap = next(one for one in self.content["facets"] if one["name"] == name)
        return found

    def text(self) -> str:
        """Return the YAML with the indentation and the line breaks that it had."""
        text = dump_yaml(self.content)
        return text.replace("\n", "\r\n") if "\r\n" in self._text else text


def load_taxonomy(path: str | Path) -> Taxonomy:
    """Read and validate a taxonomy file; a TaggerError names file, line and field."""
    return open_document(Path(path)).taxonomy


def open_document(path: Path) -> TaxonomyDocument:
    """Read a taxonomy file to edit it; raises as :func:`load_taxonomy`."""
    try:
        return TaxonomyDocument(path.read_bytes().decode("utf-8-sig"), path)
    except FileNotFoundError as error:
        raise TaggerError("no such taxonomy file", path=path) from error
    except UnicodeDecodeError as error:
        raise TaggerError("is not UTF-8 text", path=path) from error
    except OSError as error:
        raise TaggerError(f"cannot be read ({error.strerror or error})", path=path) from error


def dump_yaml(content: CommentedMap, width: int = sys.maxsize) -> str:
    """Write a taxonomy as YAML, with the indentation that its list of facets came with."""
    yaml = _yaml()
    yaml.width = width
    facets = content["facets"].lc
    column, step = (2, 4) if facets.col is None else (facets.col, facets.item(0)[1])
    yaml.indent(mapping=2, sequence=step, offset=column)
    with io.StringIO() as file:
        yaml.dump(content, file)
        return file.getvalue()


def drop_tag(facet: CommentedMap, number: int) -> None:
    """Take the entry of a tag out; comments between it and the next stay."""
    comment = _take_comment(facet["tags"], number)
    del facet["tags"][number]
    if number:
        _give_comment(facet["tags"], number - 1, comment)
    elif comment:
        slots = facet.ca.items.setdefault("tags", [None, None, None, None])
        slots[3] = [*(slots[3] or ()), CommentToken(comment, CommentMark(0))]


def insert_tag(facet: CommentedMap, number: int, fields: Mapping[str, Any]) -> None:
    """Put a new entry after another one, before comments that lead to the next."""
    comment = _take_comment(facet["tags"], number - 1)
    lists = {key: CommentedSeq(said) for key, said in fields.items() if isinstance(said, tuple)}
    facet["tags"].insert(number, CommentedMap({**fields, **lists}))
    _give_comment(facet["tags"], number, comment)


@contextmanager
def tag_entry(facet: CommentedMap, number: int) -> Iterator[CommentedMap]:
    """Give the entry of a tag to be edited; comments between it and the next stay there."""
    comment = _take_comment(facet["tags"], number)
    yield facet["tags"][number]
    _give_comment(facet["tags"], number, comment)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.Resolver, yaml.Composer = _TextResolver, _PlainComposer
    yaml.preserve_quotes = True
    return yaml


def _parse_yaml(text: str, path: Path) -> Any:
    """Return the content of a file; lists and fields know their lines."""
    if len(text) > _LONGEST:
        raise TaggerError(
            f"has {len(text):,} characters, more than the {_LONGEST:,} of a taxonomy", path=path
        )
    try:
        return _yaml().load(text)
    except (DuplicateKeyError, MarkedYAMLError) as error:
        mark = error.problem_mark or error.context_mark
        problem = f"is not valid YAML: {error.problem or error.context}"
        hint = None
        if isinstance(error, DuplicateKeyError):
            problem = f"a field is given twice: {str(error.problem).split(' with ')[0]}"
        elif "mapping values" in problem:
            hint = "Put a text with a colon in it into quotes"
        line = None if mark is None else mark.line + 1
        raise TaggerError(problem, path=path, line=line, hint=hint) from error
    except (YAMLError, ValueError, TypeError) as error:  # TypeError: a list as a field name
        problem = f"is not valid YAML: {' '.join(str(error).split())}"
        raise TaggerError(problem, path=path) from error
    except RecursionError as error:
        raise TaggerError("is nested too deeply", path=path) from error


def _line_of(content: Any, location: Sequence[str | int]) -> int:
    """Return the line, from 1, of the nearest place that the file has."""
    line = 0
    for part in location:
        try:
            of = content.lc.key if isinstance(content, CommentedMap) else content.lc.item
            line = of(part)[0]
            content = content[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line + 1


def _last_value(tags: CommentedSeq, number: int) -> tuple[dict[Any, Any], Any, int, bool]:
    """Return where the comment after an entry is kept, and whether a block of text is before it."""
    entry = tags[number]
    if entry.fa.flow_style():
        return tags.ca.items, number, 0, False
    key, value = list(entry.items())[-1]
    holder, place, slot = entry.ca.items, key, 2
    if isinstance(value, CommentedSeq) and value and not value.fa.flow_style():
        holder, place, slot, value = value.ca.items, len(value) - 1, 0, value[-1]
    block = isinstance(value, FoldedScalarString | LiteralScalarString)
    return holder, place, slot, block


def _take_comment(tags: CommentedSeq, number: int) -> str:
    """Take away the comments and empty lines between an entry and the next, and return them."""
    holder, place, slot, block = _last_value(tags, number)
    token = holder[place][slot] if place in holder else None
    if token is None:
        return ""
    own, _, after = ("", "", token.value) if block else token.value.partition("\n")
    holder[place][slot] = token if own else None
    token.value = f"{own}\n"
    return str(after)


def _give_comment(tags: CommentedSeq, number: int, comment: str) -> None:
    """Put comments and empty lines between an entry and the next."""
    if not comment:
        return
    holder, place, slot, block = _last_value(tags, number)
    slots = holder.setdefault(place, [None, None, None, None])
    if slots[slot] is None:
        slots[slot] = CommentToken(comment if block else f"\n{comment}", CommentMark(0))
    else:
        slots[slot].value += comment
