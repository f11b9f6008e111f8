"""Change a taxonomy file: add, rename, merge, split and retire tags.

A name that is removed is added to ``replaces`` of its successors or to ``retired`` of its facet
(see :class:`tagger.taxonomy.Tag`), so that older labels are translated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from tagger._util.validation import first_problem
from tagger.errors import TaggerError
from tagger.taxonomy.file import TaxonomyDocument, drop_tag, insert_tag, tag_entry
from tagger.taxonomy.schema import MAX_EXAMPLES, Facet, Tag

Change = Callable[[TaxonomyDocument], None]
"""A function that edits a document, and raises TaggerError if the change is not possible."""


def add_tag(
    document: TaxonomyDocument,
    facet: str,
    tag: str,
    definition: str,
    parent: str | None = None,
    examples: Sequence[str] = (),
    *,
    queue: bool = False,
) -> None:
    """Add a tag at the end of a facet; ``queue`` marks labelled papers for review."""
    before = document.taxonomy.facet(facet)
    _check_new(before, tag)
    if parent:
        _check_tags(before, [parent])
    since = datetime.now(UTC) if queue else None
    fields = tag_fields(
        name=tag, definition=definition, parent=parent, examples=examples, since=since
    )
    insert_tag(document.facet(facet), len(before.tags), fields)


def rename_tag(document: TaxonomyDocument, facet: str, tag: str, into: str) -> None:
    """Rename a tag; its papers keep it under the new name."""
    before = document.taxonomy.facet(facet)
    _check_tags(before, [tag])
    _check_new(before, into, {tag})
    _replace_tags(document, before, {tag: into}, keeper=tag)


def merge_tags(
    document: TaxonomyDocument,
    facet: str,
    tags: Sequence[str],
    into: str,
    definition: str | None = None,
) -> None:
    """Merge tags into ``into``: one of them, another tag of the facet, or a new tag.

    It gets the papers, the examples and the cues of all of them. A new tag needs a definition.
    """
    before = document.taxonomy.facet(facet)
    _check_tags(before, tags)
    if len({*tags, into}) < 2 or len(set(tags)) < len(tags):
        raise TaggerError("a merge needs at least two different tags")
    keeper = into
    if into not in before.tag_names:
        _check_new(before, into, tags)
        if definition is None:
            raise TaggerError(
                f"the new tag '{into}' needs a definition", hint="Add --definition TEXT"
            )
        # A new tag replaces the first of the merged tags in the file.
        keeper = next(tag for tag in before.tag_names if tag in tags)
    _replace_tags(document, before, dict.fromkeys(tags, into), keeper, definition)


def split_tag(
    document: TaxonomyDocument, facet: str, tag: str, definitions: Mapping[str, str]
) -> None:
    """Add child tags to a tag, which stays, and mark its papers for review."""
    before = document.taxonomy.facet(facet)
    _check_tags(before, [tag])
    if len(definitions) < 2:
        raise TaggerError(f"splitting '{tag}' needs at least two new tags")
    now = datetime.now(UTC)
    for index, (name, definition) in enumerate(
        definitions.items(), start=before.tag_names.index(tag) + 1
    ):
        _check_new(before, name)
        fields = tag_fields(name=name, definition=definition, parent=tag, since=now)
        insert_tag(document.facet(facet), index, fields)


def retire_tag(document: TaxonomyDocument, facet: str, tag: str, into: str | None = None) -> None:
    """Remove a tag. Without ``into``, papers keep the parent.

    Otherwise papers, examples and cues move to ``into``.
    """
    before = document.taxonomy.facet(facet)
    _check_tags(before, [tag] if into is None else [tag, into])
    if into == tag:
        raise TaggerError("a tag cannot replace itself")
    _replace_tags(document, before, {tag: into or next(iter(before.ancestors(tag)), None)}, into)


def write_former_names(entry: CommentedMap, meanings: Mapping[str, Collection[str]]) -> None:
    """Write the current tags of each former name into the entry of a facet.

    Implied ancestors are left out. A name without tags is written to ``retired``.
    """
    facet = Facet.model_validate({**entry, "retired": ()})
    minimal = {
        name: set(tags)
        - {above for tag in tags if not facet.exclusive for above in facet.ancestors(tag)}
        for name, tags in meanings.items()
    }
    for index, tag in enumerate(facet.tags):
        names = [name for name, tags in minimal.items() if tag.name in tags]
        if names != list(tag.replaces):
            with tag_entry(entry, index) as one:
                one.pop("replaces", None)
                if names:
                    one.insert(1, "replaces", names)
    retired = [name for name, tags in minimal.items() if not tags]
    if retired != list(entry.get("retired", ())):
        entry.pop("retired", None)
        entry.insert(list(entry).index("tags"), "retired", retired)


def _check_tags(facet: Facet, names: Collection[str]) -> None:
    for name in names:
        if name not in facet.tag_names:
            known = ", ".join(facet.tag_names)
            raise TaggerError(
                f"the facet '{facet.name}' has no tag '{name}'", hint=f"Known: {known}"
            )


def _check_new(facet: Facet, name: str, allowed: Collection[str] = ()) -> None:
    """Refuse a name that is in use, or a former name of other tags than ``allowed``."""
    if name in facet.tag_names:
        raise TaggerError(
            f"the facet '{facet.name}' already has a tag '{name}'",
            hint="To merge two tags: tagger taxonomy merge",
        )
    tag_fields(name=name, definition="-")
    meaning = facet.meanings.get(name)
    if meaning is not None and not (meaning and set(meaning) <= set(allowed)):
        raise TaggerError(
            f"'{name}' is a former name in '{facet.name}' and cannot get a new meaning",
            hint="Choose another name; to undo a change, restore taxonomy.yaml",
        )


def tag_fields(**fields: object) -> dict[str, Any]:
    """Validate the fields of a tag and return them as written to the file."""
    try:
        return Tag.model_validate(fields).model_dump(exclude_none=True)
    except ValidationError as error:
        invalid = first_problem(error)
        raise TaggerError(invalid.problem, field=invalid.field, hint=invalid.hint) from error


def _replace_tags(
    document: TaxonomyDocument,
    facet: Facet,
    moved: Mapping[str, str | None],
    keeper: str | None,
    definition: str | None = None,
) -> None:
    """Replace tags by the one in the entry of ``keeper``, or remove them if it is None.

    ``moved`` maps each tag to the tag that its papers get. Children of removed tags get a new
    parent.
    """
    into = moved.get(keeper, keeper) if keeper else None
    gone = {*moved, *filter(None, [keeper])}
    if gone >= set(facet.tag_names) and not keeper:
        raise TaggerError(
            f"this would remove the last tag of the facet '{facet.name}'",
            hint="Remove the facet from taxonomy.yaml and from the label files instead",
        )
    entry = document.facet(facet.name)
    for index, tag in reversed(list(enumerate(facet.tags))):
        if tag.name in gone and tag.name != keeper:
            drop_tag(entry, index)
            continue
        with tag_entry(entry, index) as one:
            parent = _parent_after(facet, tag, gone, keeper, into)
            if parent is None:
                one.pop("parent", None)
                if facet.exclusive and tag.parent:
                    # Only papers of its parent were to be looked at again. They lost their tag,
                    # so they still are; without a parent, all papers would be.
                    one.pop("since", None)
            elif parent != tag.parent:
                one["parent"] = parent
            if tag.name == keeper:
                one["name"] = into
                if definition and into != keeper:
                    one.pop("label", None)  # It names a tag that was merged.
                if definition:
                    one["definition"] = tag_fields(name=into, definition=definition)["definition"]
                for field in ("examples", "cues"):
                    own = getattr(tag, field)
                    all_of = dict.fromkeys(
                        e for o in facet.tags if o.name in gone for e in getattr(o, field)
                    )
                    more = [text for text in all_of if text not in own]
                    if more := more[: MAX_EXAMPLES - len(own)]:
                        one.setdefault(field, CommentedSeq()).extend(more)
    names = {str(one["name"]) for one in entry["tags"]}
    meanings = {
        name: names.intersection(str(moved.get(tag, tag)) for tag in facet.with_ancestors(tags))
        for name, tags in facet.meanings.items()
        if name not in names
    }
    write_former_names(entry, meanings)


def _parent_after(
    facet: Facet, tag: Tag, gone: Collection[str], keeper: str | None, into: str | None
) -> str | None:
    """Return the parent of a tag after the tags ``gone`` became ``into``, or were removed."""
    if tag.name != keeper and (tag.parent not in gone or keeper):
        return into if tag.parent in gone else tag.parent
    above = [name for name in facet.ancestors(tag.name) if name not in gone]
    if tag.name == keeper:
        # An existing tag keeps its ancestors; a new one gets the common ancestors of the merged.
        merged = gone if keeper != into else {keeper}
        implied = set.intersection(*(set(facet.ancestors(name)) for name in merged))
        # Descendants of merged tags are excluded, or the tag would be its own ancestor.
        above = [
            name for name in above if name in implied and not set(gone) & {*facet.ancestors(name)}
        ]
    return above[0] if above else None
