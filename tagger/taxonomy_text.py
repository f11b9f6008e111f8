"""Edits of a taxonomy file that leave its comments and its layout alone.

Only the places that a change touches are written anew: names, definitions and parents where they
stand, examples after those that stand, an entry that goes, an entry that comes after another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent

import yaml

from tagger.errors import TaggerError
from tagger.taxonomy import Tag, Taxonomy, parse_taxonomy

_WIDTH = 100
_Span = tuple[int, int, str]
"""Where a piece of the text begins and ends, and what is to stand there."""


def edit_taxonomy(
    text: str, target: Taxonomy, facet: str, kept: Mapping[str, str], path: Path
) -> str:
    """Return the text of a taxonomy file after a change of one facet.

    Parameters
    ----------
    text:
        The file, a valid taxonomy.
    target:
        What it must say afterwards.
    facet:
        The facet that differs.
    kept:
        Per tag whose entry stays, its name afterwards. Entries keep their order; new ones come
        after the first.
    path:
        The file that errors name.

    Raises
    ------
    TaggerError
        If the file is laid out in a way that this cannot edit.
    """
    wanted = target.facet(facet)
    sequence = _tags_node(text, facet)
    edits: list[_Span] = []
    tags = {tag.name: tag for tag in wanted.tags}
    nodes: dict[str, yaml.Node] = {}
    for place, node in enumerate(sequence.value):
        name = kept.get(_value(node, "name").value)
        if name is None:
            edits.append(_removal(text, sequence, place, leading=not nodes))
        else:
            nodes[name] = node
            edits += _rewritten(text, node, tags[name])
    anchor = sequence.value[0]
    new: dict[int, str] = {}
    for tag in wanted.tags:
        if tag.name in nodes:
            anchor = nodes[tag.name]
        else:
            end = _end(anchor) if sequence.flow_style else _line_end(text, _end(anchor))
            new[end] = new.get(end, "") + _entry(text, sequence, tag)
    edits += [(end, end, entry) for end, entry in new.items()]
    after = text
    # From the back, so that places further on stay valid.
    for start, end, replacement in sorted(edits, reverse=True):
        after = after[:start] + replacement + after[end:]
    try:
        right = parse_taxonomy(after, path) == target
    except TaggerError:
        right = False
    if not right:
        raise TaggerError(
            "is laid out in a way that cannot be edited",
            path=path,
            hint="Write each tag on lines of its own, as README shows",
        )
    return after


def _tags_node(text: str, facet: str) -> yaml.SequenceNode:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None
    facets = _value(root, "facets").value
    node = next(_value(node, "tags") for node in facets if _value(node, "name").value == facet)
    assert isinstance(node, yaml.SequenceNode)
    return node


def _value(node: yaml.Node, key: str) -> yaml.Node:
    found: yaml.Node = next(value for name, value in node.value if name.value == key)
    return found


def _end(node: yaml.Node) -> int:
    """Return where the content of a node ends, without comments and space that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _line_end(text: str, end: int) -> int:
    """Return the end of the line on which a content ends, before its line break."""
    content = len(text[:end].rstrip())
    found = text.find("\n", content)
    return len(text) if found < 0 else found - (text[found - 1] == "\r")


def _line_start(text: str, place: int) -> int:
    return text.rfind("\n", 0, place) + 1


def _rewritten(text: str, node: yaml.MappingNode, tag: Tag) -> list[_Span]:
    """Return the edits that make an entry say what a tag is."""
    edits = []
    for key, said in node.value:
        if key.value == "examples":
            continue
        wanted = getattr(tag, key.value)
        start, end = said.start_mark.index, len(text[: said.end_mark.index].rstrip())
        now = yaml.safe_load(text[start:end]) if key.value == "parent" else said.value
        if wanted == (now.strip() if isinstance(now, str) else now):
            continue
        alone = not node.flow_style and key.start_mark.line > node.start_mark.line
        if wanted is None and alone:
            line = _line_start(text, key.start_mark.index)
            # With the line break before it: the last line may have none of its own.
            edits.append((line - 1 - (text[line - 2] == "\r"), _line_end(text, end), ""))
        else:
            edits.append((start, end, "null" if wanted is None else _scalar(wanted, said.style)))
    return edits + _more_examples(text, node, tag.examples)


def _more_examples(text: str, node: yaml.MappingNode, wanted: Sequence[str]) -> list[_Span]:
    """Return the edits that bring examples in after those that an entry has, which all stay."""
    said = next((said for key, said in node.value if key.value == "examples"), None)
    assert said is None or isinstance(said, yaml.SequenceNode)
    more = [_quoted(example) for example in wanted[len(said.value) if said else 0 :]]
    if not more:
        return []
    if said is None:
        end = len(text[: _end(node.value[-1][1])].rstrip())
        if node.flow_style:
            return [(end, end, f', "examples": [{", ".join(more)}]')]
        key = " " * node.value[0][0].start_mark.column
        lines = ["examples:", *(f"- {example}" for example in more)]
        end = _line_end(text, end)
        return [(end, end, _with_line_breaks_of(text, "".join(f"\n{key}{line}" for line in lines)))]
    if said.flow_style:
        end = _end(said.value[-1]) if said.value else said.start_mark.index + 1
        return [(end, end, (", " if said.value else "") + ", ".join(more))]
    end, dash = _line_end(text, _end(said)), " " * said.start_mark.column
    lines = [f"\n{dash}- {example}" for example in more]
    return [(end, end, _with_line_breaks_of(text, "".join(lines)))]


def _removal(text: str, sequence: yaml.SequenceNode, place: int, *, leading: bool) -> _Span:
    """Return the edit that takes an entry out; ``leading`` if all before it go as well."""
    nodes = sequence.value
    if sequence.flow_style:
        if leading:
            return nodes[place].start_mark.index, nodes[place + 1].start_mark.index, ""
        return _end(nodes[place - 1]), _end(nodes[place]), ""
    dash = text.rindex("-", 0, nodes[place].start_mark.index)
    line = _line_start(text, dash)
    return line - 1 - (text[line - 2] == "\r"), _line_end(text, _end(nodes[place])), ""


def _entry(text: str, sequence: yaml.SequenceNode, tag: Tag) -> str:
    """Write a new entry, to stand right after another one."""
    fields = tag.model_dump(exclude_none=True)
    if sequence.flow_style:
        return ", {" + ", ".join(f'"{key}": {_flow(said)}' for key, said in fields.items()) + "}"
    column = sequence.start_mark.column
    entry = yaml.safe_dump(
        [fields], sort_keys=False, allow_unicode=True, width=max(_WIDTH - column, 40)
    )
    return _with_line_breaks_of(text, "\n" + indent(entry.rstrip("\n"), " " * column))


def _with_line_breaks_of(text: str, added: str) -> str:
    return added.replace("\n", "\r\n") if "\r\n" in text else added


def _scalar(said: str, style: str | None) -> str:
    """Write a text on one line, bare where a bare one stood and YAML takes it for a text."""
    plain = style is None and all(letter.isalnum() or letter in "-_" for letter in said)
    return said if plain and isinstance(yaml.safe_load(said), str) else _quoted(said)


def _flow(said: str | Sequence[str]) -> str:
    if isinstance(said, str):
        return _quoted(said)
    return "[" + ", ".join(map(_quoted, said)) + "]"


def _quoted(said: str) -> str:
    return yaml.safe_dump(said, default_style='"', allow_unicode=True, width=float("inf")).rstrip(
        "\n"
    )
