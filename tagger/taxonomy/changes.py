"""Changes of a taxonomy file: add, rename, merge, split and retire tags.

A name that a change takes away goes to the ``replaces`` of the tags that it stands for from then
on, or to the ``retired`` of its facet (see :class:`tagger.taxonomy.Tag`), so that labels of before
are read in the new terms.
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
from tagger.taxonomy.schema import MOST_EXAMPLES, NAME_HINT, Facet, Tag, Taxonomy

Change = Callable[[TaxonomyDocument], None]
"""Edits a document; raises TaggerError if the taxonomy does not allow the change."""


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
    """Add a tag at the end of a facet; ``queue`` asks about papers that were labelled before."""
    before = facet_of(document.taxonomy, facet)
    _check_new(before, tag)
    if parent:
        _check_tags(before, [parent])
    since = datetime.now(UTC) if queue else None
    fields = tag_fields(
        name=tag, definition=definition, parent=parent, examples=examples, since=since
    )
    insert_tag(document.facet(facet), len(before.tags), fields)


def rename_tag(document: TaxonomyDocument, facet: str, tag: str, into: str) -> None:
    """Give a tag another name; its papers keep it."""
    before = facet_of(document.taxonomy, facet)
    _check_tags(before, [tag])
    _check_new(before, into, {tag})
    _join(document, before, {tag: into}, keeper=tag)


def merge_tags(
    document: TaxonomyDocument,
    facet: str,
    tags: Sequence[str],
    into: str,
    definition: str | None = None,
) -> None:
    """Make several tags one: one of them, another tag of the facet, or a new one.

    It has the papers and the examples of all of them.
    """
    before = facet_of(document.taxonomy, facet)
    _check_tags(before, tags)
    if len({*tags, into}) < 2 or len(set(tags)) < len(tags):
        raise TaggerError("to merge, two different tags are needed")
    keeper = into
    if into not in before.tag_names:
        _check_new(before, into, tags)
        if definition is None:
            raise TaggerError(
                f"'{into}' is a new tag and needs a definition", hint="Give --definition"
            )
        # A new tag takes the place of the first that it is made of.
        keeper = next(tag for tag in before.tag_names if tag in tags)
    _join(document, before, dict.fromkeys(tags, into), keeper, definition)


def split_tag(
    document: TaxonomyDocument, facet: str, tag: str, definitions: Mapping[str, str]
) -> None:
    """Put new tags below a tag, which stays; its papers are to be looked at again."""
    before = facet_of(document.taxonomy, facet)
    _check_tags(before, [tag])
    if len(definitions) < 2:
        raise TaggerError(f"to split '{tag}', two different new tags are needed")
    now = datetime.now(UTC)
    for place, (name, definition) in enumerate(
        definitions.items(), start=before.tag_names.index(tag) + 1
    ):
        _check_new(before, name)
        fields = tag_fields(name=name, definition=definition, parent=tag, since=now)
        insert_tag(document.facet(facet), place, fields)


def retire_tag(document: TaxonomyDocument, facet: str, tag: str, into: str | None = None) -> None:
    """Take a tag away; its papers and examples go to ``into``, else papers keep its parent."""
    before = facet_of(document.taxonomy, facet)
    _check_tags(before, [tag] if into is None else [tag, into])
    if into == tag:
        raise TaggerError("a tag cannot be retired into itself")
    _join(document, before, {tag: into or next(iter(before.ancestors(tag)), None)}, into)


def write_former_names(entry: CommentedMap, readings: Mapping[str, Collection[str]]) -> None:
    """Write into the entry of a facet which tags each former name stands for.

    Tags that others of them imply are left out; a name that stands for none is retired.
    """
    facet = Facet.model_validate({**entry, "retired": ()})
    least = {
        name: set(tags)
        - {above for tag in tags if not facet.exclusive for above in facet.ancestors(tag)}
        for name, tags in readings.items()
    }
    for number, tag in enumerate(facet.tags):
        names = [name for name, tags in least.items() if tag.name in tags]
        if names != list(tag.replaces):
            with tag_entry(entry, number) as one:
                one.pop("replaces", None)
                if names:
                    one.insert(1, "replaces", names)
    retired = [name for name, tags in least.items() if not tags]
    if retired != list(entry.get("retired", ())):
        entry.pop("retired", None)
        entry.insert(list(entry).index("tags"), "retired", retired)


def facet_of(taxonomy: Taxonomy, name: str) -> Facet:
    """Return a facet that a person named; raises TaggerError with those there are."""
    try:
        return taxonomy.facet(name)
    except KeyError as error:
        known = ", ".join(facet.name for facet in taxonomy.facets)
        raise TaggerError(f"there is no facet '{name}'", hint=f"Known: {known}") from error


def _check_tags(facet: Facet, names: Collection[str]) -> None:
    for name in names:
        if name not in facet.tag_names:
            known = ", ".join(facet.tag_names)
            raise TaggerError(f"'{facet.name}' has no tag '{name}'", hint=f"Known: {known}")


def _check_new(facet: Facet, name: str, own: Collection[str] = ()) -> None:
    """Refuse a name that is taken, or that has stood for other tags than ``own``."""
    if name in facet.tag_names:
        raise TaggerError(
            f"'{facet.name}' has a tag '{name}' already",
            hint="To make two tags one: tagger taxonomy merge",
        )
    tag_fields(name=name, definition="-")
    meaning = facet.readings.get(name)
    if meaning is not None and not (meaning and set(meaning) <= set(own)):
        raise TaggerError(
            f"'{name}' is a former name in '{facet.name}', and cannot get a new meaning",
            hint="Choose another name; or, to undo a step, put taxonomy.yaml back as it was",
        )


def tag_fields(**fields: object) -> dict[str, Any]:
    """Return the fields of a tag as they are written; raises TaggerError if one is not valid."""
    try:
        return Tag.model_validate(fields).model_dump(exclude_none=True)
    except ValidationError as error:
        invalid = first_problem(error)
        problem, hint = invalid.problem, invalid.hint
        if invalid.kind == "string_pattern_mismatch":
            problem, hint = f"'{invalid.value}' is not a valid name", NAME_HINT
        raise TaggerError(problem, field=str(invalid.location[0]), hint=hint) from error


def _join(
    document: TaxonomyDocument,
    facet: Facet,
    moved: Mapping[str, str | None],
    keeper: str | None,
    definition: str | None = None,
) -> None:
    """Make tags one, at the place of ``keeper``; without it they go.

    ``moved`` says what becomes of the papers of each. Children of tags that go get a new parent.
    """
    into = moved.get(keeper, keeper) if keeper else None
    gone = {*moved, *filter(None, [keeper])}
    if gone >= set(facet.tag_names) and not keeper:
        raise TaggerError(
            f"'{facet.name}' would have no tag left",
            hint="Take the facet out of taxonomy.yaml and out of the label files",
        )
    entry = document.facet(facet.name)
    for number, tag in reversed(list(enumerate(facet.tags))):
        if tag.name in gone and tag.name != keeper:
            drop_tag(entry, number)
            continue
        with tag_entry(entry, number) as one:
            parent = _parent_after(facet, tag, gone, keeper, into)
            if parent is None:
                one.pop("parent", None)
            elif parent != tag.parent:
                one["parent"] = parent
            if tag.name == keeper:
                one["name"] = into
                if definition:
                    one["definition"] = tag_fields(name=into, definition=definition)["definition"]
                merged = dict.fromkeys(e for o in facet.tags if o.name in gone for e in o.examples)
                more = [example for example in merged if example not in tag.examples]
                if more := more[: MOST_EXAMPLES - len(tag.examples)]:
                    one.setdefault("examples", CommentedSeq()).extend(more)
    names = {str(one["name"]) for one in entry["tags"]}
    readings = {
        name: names.intersection(str(moved.get(tag, tag)) for tag in facet.with_ancestors(was))
        for name, was in facet.readings.items()
        if name not in names
    }
    write_former_names(entry, readings)


def _parent_after(
    facet: Facet, tag: Tag, gone: Collection[str], keeper: str | None, into: str | None
) -> str | None:
    if tag.name != keeper and (tag.parent not in gone or keeper):
        return into if tag.parent in gone else tag.parent
    above = [name for name in facet.ancestors(tag.name) if name not in gone]
    if tag.name == keeper:
        # A tag that was there keeps what it implies; a new one implies what all merged ones did.
        merged = gone if keeper != into else {keeper}
        implied = set.intersection(*(set(facet.ancestors(name)) for name in merged))
        # No tag below a merged one, or the tag would be its own ancestor.
        above = [
            name for name in above if name in implied and not set(gone) & {*facet.ancestors(name)}
        ]
    return above[0] if above else None
