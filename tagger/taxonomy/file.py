"""Read, write and edit taxonomy files; errors name the line, and edits keep comments.

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

All values are read as text, so that ``name: yes`` and ``name: 2024`` are names. Anchors, aliases
and type tags of YAML are refused, because nested aliases can expand to fill the memory.
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
from ruamel.yaml.scalarstring import (
    DoubleQuotedScalarString,
    FoldedScalarString,
    LiteralScalarString,
)
from ruamel.yaml.tag import Tag as YamlTag
from ruamel.yaml.tokens import CommentToken

from tagger._util.validation import first_problem
from tagger.errors import TaggerError
from tagger.taxonomy.schema import Taxonomy, check_names

_MAX_CHARACTERS = 500_000
_NULLS = ("", "~", "null", "Null", "NULL")


class _TextResolver(VersionedResolver):
    """Resolve every plain scalar except null as a string."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode and implicit[0]:
            return YamlTag(suffix=f"tag:yaml.org,2002:{'null' if value in _NULLS else 'str'}")
        return super().resolve(kind, value, implicit)


class _PlainComposer(Composer):
    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        for attribute, feature in (("anchor", "anchors and aliases"), ("ctag", "type tags")):
            if getattr(event, attribute, None) is not None:
                raise MarkedYAMLError(
                    problem=f"{feature} are not allowed", problem_mark=event.start_mark
                )
        return super().compose_node(parent, index)


class TaxonomyDocument:
    """A taxonomy file: the validated taxonomy, and its YAML, which keeps comments and quotes."""

    def __init__(self, text: str, path: Path) -> None:
        self._text = text
        self.content = _parse_yaml(text.replace("\r\n", "\n"), path)
        try:
            self.taxonomy = Taxonomy.model_validate(self.content)
        except ValidationError as error:
            invalid = first_problem(error)
            line = _line_of(self.content, invalid.location)
            raise invalid.as_error(path, line) from error
        check_names(self.taxonomy, path, lambda location: _line_of(self.content, location))

    def facet(self, name: str) -> CommentedMap:
        """Return the entry of a facet, with its tags in the order of :attr:`taxonomy`."""
        found: CommentedMap = next(one for one in self.content["facets"] if one["name"] == name)
        return found

    def text(self) -> str:
        """Return the edited YAML with its original indentation and line breaks."""
        text = dump_yaml(self.content)
        return text.replace("\n", "\r\n") if "\r\n" in self._text else text


def load_taxonomy(path: str | Path) -> Taxonomy:
    """Read and validate a taxonomy file.

    Raises a TaggerError with line and field if the file is missing, cannot be read or is not valid.
    """
    return open_document(Path(path)).taxonomy


def open_document(path: Path) -> TaxonomyDocument:
    """Read a taxonomy file for editing; raises the errors of :func:`load_taxonomy`."""
    try:
        return TaxonomyDocument(path.read_bytes().decode("utf-8-sig"), path)
    except FileNotFoundError as error:
        raise TaggerError("no such taxonomy file", path=path) from error
    except UnicodeDecodeError as error:
        raise TaggerError("is not UTF-8 text", path=path) from error
    except OSError as error:
        raise TaggerError(f"cannot be read ({error.strerror or error})", path=path) from error


def dump_yaml(content: CommentedMap, width: int = sys.maxsize) -> str:
    """Return a taxonomy as YAML, with the indentation of its list of facets."""
    yaml = _yaml()
    yaml.width = width
    facets = content["facets"].lc
    column, step = (2, 4) if facets.col is None else (facets.col, facets.item(0)[1])
    yaml.indent(mapping=2, sequence=step, offset=column)
    with io.StringIO() as file:
        yaml.dump(content, file)
        return file.getvalue()


def drop_tag(facet: CommentedMap, index: int) -> None:
    """Remove the entry of a tag; comments between it and the next entry stay."""
    comment = _take_comment(facet["tags"], index)
    del facet["tags"][index]
    if index:
        _put_comment(facet["tags"], index - 1, comment)
    elif comment:
        slots = facet.ca.items.setdefault("tags", [None, None, None, None])
        slots[3] = [*(slots[3] or ()), CommentToken(comment, CommentMark(0))]


def insert_tag(facet: CommentedMap, index: int, fields: Mapping[str, Any]) -> None:
    """Insert an entry at ``index`` > 0, before the comments above the next entry."""
    comment = _take_comment(facet["tags"], index - 1)
    facet["tags"].insert(index, CommentedMap({key: _quoted(fields[key]) for key in fields}))
    _put_comment(facet["tags"], index, comment)


def _quoted(value: Any) -> Any:
    """Quote texts that ruamel.yaml leaves plain but cannot read again within braces."""
    if isinstance(value, tuple):
        return CommentedSeq(map(_quoted, value))
    is_unreadable = isinstance(value, str) and value.startswith("?")
    return DoubleQuotedScalarString(value) if is_unreadable else value


@contextmanager
def tag_entry(facet: CommentedMap, index: int) -> Iterator[CommentedMap]:
    """Provide the entry of a tag for editing; comments between it and the next entry stay."""
    comment = _take_comment(facet["tags"], index)
    yield facet["tags"][index]
    _put_comment(facet["tags"], index, comment)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.Resolver, yaml.Composer = _TextResolver, _PlainComposer
    yaml.preserve_quotes = True
    return yaml


def _parse_yaml(text: str, path: Path) -> Any:
    """Parse a file; the lists and mappings of the result record their lines."""
    if len(text) > _MAX_CHARACTERS:
        raise TaggerError(
            f"has {len(text):,} characters; a taxonomy may have {_MAX_CHARACTERS:,}", path=path
        )
    try:
        return _yaml().load(text)
    except (DuplicateKeyError, MarkedYAMLError) as error:
        mark = error.problem_mark or error.context_mark
        problem = f"is not valid YAML: {error.problem or error.context}"
        hint = None
        if isinstance(error, DuplicateKeyError):
            problem = f"a field is repeated: {str(error.problem).split(' with ')[0]}"
        elif "mapping values" in problem:
            hint = "Put texts that contain a colon into quotes"
        line = None if mark is None else mark.line + 1
        raise TaggerError(problem, path=path, line=line, hint=hint) from error
    except (YAMLError, ValueError, TypeError) as error:  # TypeError: a list as a field name
        problem = f"is not valid YAML: {' '.join(str(error).split())}"
        raise TaggerError(problem, path=path) from error
    except RecursionError as error:
        raise TaggerError("is nested too deeply", path=path) from error


def _line_of(content: Any, location: Sequence[str | int]) -> int:
    """Return the line, from 1, of a location, or of its nearest ancestor in the file."""
    line = 0
    for part in location:
        try:
            position = content.lc.key if isinstance(content, CommentedMap) else content.lc.item
            line = position(part)[0]
            content = content[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line + 1


def _comment_slot(tags: CommentedSeq, index: int) -> tuple[dict[Any, Any], Any, int, bool]:
    """Return where ruamel.yaml stores the comment after an entry.

    It is ``holder[key][slot]``. The last element of the result says whether the entry ends with a
    block scalar.
    """
    entry = tags[index]
    if entry.fa.flow_style():
        return tags.ca.items, index, 0, False
    key, value = list(entry.items())[-1]
    holder, slot = entry.ca.items, 2
    if isinstance(value, CommentedSeq) and value and not value.fa.flow_style():
        holder, key, slot, value = value.ca.items, len(value) - 1, 0, value[-1]
    return holder, key, slot, isinstance(value, FoldedScalarString | LiteralScalarString)


def _take_comment(tags: CommentedSeq, index: int) -> str:
    """Remove and return the comments and empty lines between an entry and the next."""
    holder, key, slot, block = _comment_slot(tags, index)
    token = holder[key][slot] if key in holder else None
    if token is None:
        return ""
    own, _, after = ("", "", token.value) if block else token.value.partition("\n")
    holder[key][slot] = token if own else None
    token.value = f"{own}\n"
    return str(after)


def _put_comment(tags: CommentedSeq, index: int, comment: str) -> None:
    """Insert comments and empty lines between an entry and the next."""
    if not comment:
        return
    holder, key, slot, block = _comment_slot(tags, index)
    slots = holder.setdefault(key, [None, None, None, None])
    if slots[slot] is None:
        slots[slot] = CommentToken(comment if block else f"\n{comment}", CommentMark(0))
    else:
        slots[slot].value += comment
