"""Changes of a taxonomy: what each makes of the taxonomy, and of the tags that papers have.

A change knows nothing of files. It is applied to a taxonomy, which gives the next one; to the tags
of a label, which gives what they are now; and it tells which labelled papers it calls in question.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tagger.errors import TaggerError
from tagger.taxonomy import (
    MOST_EXAMPLES,
    NAME_HINT,
    Definition,
    Facet,
    Name,
    Tag,
    Taxonomy,
    check_names,
)
from tagger.validation import first_problem

Tags = Mapping[str, Sequence[str]]
"""The tags of one paper per facet."""


class _Change(BaseModel, ABC):
    """One step from a taxonomy to the next, within one facet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    facet: Name

    @abstractmethod
    def describe(self) -> str:
        """Say the change in a few words."""

    @abstractmethod
    def moved(self, facet: Facet) -> dict[str, str | None]:
        """Return what becomes of tags that papers have: another tag, or none.

        Tags that are not named stay what they are; ``facet`` is as it was before the change.
        """

    @abstractmethod
    def entries_kept(self, facet: Facet) -> dict[str, str]:
        """Return, per entry of the facet that stays, the name that it has afterwards."""

    @abstractmethod
    def _tags_after(self, facet: Facet) -> list[Tag]:
        """Return the tags of the changed facet.

        Raises
        ------
        TaggerError
            If the facet does not allow the change.
        """

    def apply(self, taxonomy: Taxonomy) -> Taxonomy:
        """Return the changed taxonomy.

        Raises
        ------
        TaggerError
            If a tag that is changed is not there, a new one is there already, or what comes out
            is no taxonomy.
        """
        facet = facet_of(taxonomy, self.facet)
        tags = self._tags_after(facet)
        if not tags:
            raise TaggerError(
                f"'{self.facet}' would have no tag left",
                hint="Take the facet out of taxonomy.yaml and out of the label files",
            )
        changed = facet.model_copy(update={"tags": tuple(tags)})
        facets = [changed if other.name == self.facet else other for other in taxonomy.facets]
        # Built anew: what a taxonomy has worked out about itself does not carry over.
        after = Taxonomy.model_validate(
            {"name": taxonomy.name, "facets": [facet.model_dump() for facet in facets]}
        )
        try:
            check_names(after)
        except TaggerError as error:
            raise TaggerError(f"'{self.facet}' does not allow it: {error.problem}") from error
        return after

    def rewrite(self, tags: Tags, facet: Facet) -> dict[str, tuple[str, ...]]:
        """Return what the tags of a paper are after the change.

        Parameters
        ----------
        tags:
            Before it.
        facet:
            As it was before it. If it is exclusive, a paper that loses its tag is no longer judged.
        """
        now = {name: tuple(given) for name, given in tags.items()}
        moved = self.moved(facet)
        given = now.get(self.facet, ())
        if any(tag in moved for tag in given):
            kept = dict.fromkeys(moved.get(tag, tag) for tag in given)
            now[self.facet] = tuple(tag for tag in kept if tag is not None)
            if facet.exclusive and not now[self.facet]:
                del now[self.facet]
        return now

    def questions(self, tags: Tags, facet: Facet) -> bool:
        """Tell whether a paper must be looked at again.

        Parameters
        ----------
        tags:
            The paper's, before the change.
        facet:
            The facet, before the change.
        """
        return False

    def question(self) -> str:
        """Say what a reviewer of such a paper should look at."""
        return f"look at {self.facet}"

    def new_tags(self) -> tuple[str, ...]:
        """Return the tags without which the question is no longer asked; none if it always is."""
        return ()


class AddTag(_Change):
    """A new tag, at the end of its facet; ``queue`` asks about papers labelled before."""

    operation: Literal["add"] = "add"
    tag: Name
    definition: Definition
    parent: Name | None = None
    examples: tuple[Definition, ...] = ()
    queue: bool = False

    def describe(self) -> str:
        below = f" below {self.parent}" if self.parent else ""
        return f"add {self.facet}/{self.tag}{below}"

    def moved(self, facet: Facet) -> dict[str, str | None]:
        return {}

    def entries_kept(self, facet: Facet) -> dict[str, str]:
        return _same(facet)

    def _tags_after(self, facet: Facet) -> list[Tag]:
        _check_new(facet, self.tag)
        if self.parent:
            tag_of(facet, self.parent)
        new = Tag(
            name=self.tag,
            definition=self.definition,
            parent=self.parent,
            examples=self.examples,
        )
        return [*facet.tags, new]

    def concerns(self, tags: Tags, facet: Facet) -> bool:
        """Tell whether a paper that was judged without the tag may need it."""
        given = tags.get(self.facet)
        if given is None:
            return False
        return self.parent is None or self.parent in _with_ancestors(facet, given)

    def questions(self, tags: Tags, facet: Facet) -> bool:
        return self.queue and self.concerns(tags, facet)

    def question(self) -> str:
        return f"look at {self.facet}, which has a new tag: {self.tag}"

    def new_tags(self) -> tuple[str, ...]:
        return (self.tag,)


class RenameTag(_Change):
    """A tag under another name, with the definition and the examples that it has."""

    operation: Literal["rename"] = "rename"
    tag: Name
    into: Name

    def describe(self) -> str:
        return f"rename {self.facet}/{self.tag} to {self.into}"

    def moved(self, facet: Facet) -> dict[str, str | None]:
        return {self.tag: self.into}

    def entries_kept(self, facet: Facet) -> dict[str, str]:
        return _same(facet) | {self.tag: self.into}

    def _tags_after(self, facet: Facet) -> list[Tag]:
        tag_of(facet, self.tag)
        _check_new(facet, self.into)
        names = self.entries_kept(facet)
        return [
            tag.model_copy(
                update={
                    "name": names[tag.name],
                    "parent": names[tag.parent] if tag.parent else None,
                }
            )
            for tag in facet.tags
        ]


class MergeTags(_Change):
    """Several tags that become one: one of them, another tag of the facet, or a new one.

    It has the examples of all of them.
    """

    operation: Literal["merge"] = "merge"
    tags: Annotated[tuple[Name, ...], Field(min_length=1)]
    into: Name
    definition: Definition | None = None

    def describe(self) -> str:
        merged = ", ".join(f"{self.facet}/{tag}" for tag in self.tags)
        return f"merge {merged} into {self.into}"

    def moved(self, facet: Facet) -> dict[str, str | None]:
        return dict.fromkeys(self.tags, self.into)

    def entries_kept(self, facet: Facet) -> dict[str, str]:
        gone = {*self.tags, self.into} - {self._keeper(facet)}
        kept = {name: name for name in facet.tag_names if name not in gone}
        return kept | {self._keeper(facet): self.into}

    def _keeper(self, facet: Facet) -> str:
        """Return the tag whose place the merged one takes."""
        if self.into in facet.tag_names:
            return self.into
        return next(name for name in facet.tag_names if name in self.tags)

    def _tags_after(self, facet: Facet) -> list[Tag]:
        for tag in self.tags:
            tag_of(facet, tag)
        if len({*self.tags, self.into}) < 2 or len(set(self.tags)) < len(self.tags):
            raise TaggerError("to merge, two different tags are needed")
        if self.into not in facet.tag_names and self.definition is None:
            raise TaggerError(
                f"'{self.into}' is a new tag and needs a definition", hint="Give --definition"
            )
        merged = {*self.tags, self.into} & set(facet.tag_names)
        return _without(facet, merged, self._keeper(facet), self)


class SplitTag(_Change):
    """New tags below a tag that stays; the papers of the tag are to be looked at again."""

    operation: Literal["split"] = "split"
    tag: Name
    into: Annotated[tuple[Name, ...], Field(min_length=1)]
    definitions: dict[str, Definition]

    def describe(self) -> str:
        return f"split {self.facet}/{self.tag} into {', '.join(self.into)}"

    def moved(self, facet: Facet) -> dict[str, str | None]:
        return {}

    def entries_kept(self, facet: Facet) -> dict[str, str]:
        return _same(facet)

    def _tags_after(self, facet: Facet) -> list[Tag]:
        tag_of(facet, self.tag)
        if len(self.into) < 2 or len(set(self.into)) < len(self.into):
            raise TaggerError(f"to split '{self.tag}', two different new tags are needed")
        if set(self.definitions) != set(self.into):
            odd = sorted(set(self.definitions) ^ set(self.into))[0]
            raise TaggerError(
                f"each new tag needs one definition, and nothing else does: see '{odd}'",
                hint="Give --definition NAME=TEXT once for each",
            )
        for name in self.into:
            _check_new(facet, name)
        place = facet.tag_names.index(self.tag) + 1
        new = [
            Tag(name=name, definition=self.definitions[name], parent=self.tag) for name in self.into
        ]
        return [*facet.tags[:place], *new, *facet.tags[place:]]

    def questions(self, tags: Tags, facet: Facet) -> bool:
        return self.tag in _with_ancestors(facet, tags.get(self.facet, ()))

    def question(self) -> str:
        return f"look at {self.facet}, which has new tags: {', '.join(self.into)}"

    def new_tags(self) -> tuple[str, ...]:
        return self.into


class RetireTag(_Change):
    """A tag that is given no more; papers that have it get ``into``, or keep what it implied.

    Its examples are then those of ``into``, or of none.
    """

    operation: Literal["retire"] = "retire"
    tag: Name
    into: Name | None = None

    def describe(self) -> str:
        instead = f" into {self.into}" if self.into else ""
        return f"retire {self.facet}/{self.tag}{instead}"

    def moved(self, facet: Facet) -> dict[str, str | None]:
        above = facet.ancestors(self.tag) if self.tag in facet.tag_names else ()
        return {self.tag: self.into or next(iter(above), None)}

    def entries_kept(self, facet: Facet) -> dict[str, str]:
        return {name: name for name in facet.tag_names if name != self.tag}

    def _tags_after(self, facet: Facet) -> list[Tag]:
        tag_of(facet, self.tag)
        if self.into == self.tag:
            raise TaggerError("a tag cannot be retired into itself")
        if self.into:
            tag_of(facet, self.into)
            return _without(facet, {self.tag, self.into}, self.into, self)
        return _without(facet, {self.tag}, None, self)

    def questions(self, tags: Tags, facet: Facet) -> bool:
        lost = self.tag in tags.get(self.facet, ()) and self.moved(facet)[self.tag] is None
        return facet.exclusive and lost

    def question(self) -> str:
        return f"look at {self.facet}, which has one tag less"


Change = Annotated[
    AddTag | RenameTag | MergeTags | SplitTag | RetireTag, Field(discriminator="operation")
]
"""Any of the changes; ``operation`` tells them apart in a file."""


def make_change(kind: type[_Change], **fields: object) -> Change:
    """Make a change of what a person typed.

    Raises
    ------
    TaggerError
        If a name or a definition is not one.
    """
    try:
        return kind.model_validate(fields)  # type: ignore[return-value]
    except ValidationError as error:
        invalid = first_problem(error)
        problem, hint = invalid.problem, invalid.hint
        if invalid.kind == "string_pattern_mismatch":
            problem, hint = f"'{invalid.given}' is no name", NAME_HINT
        raise TaggerError(problem, field=str(invalid.location[0]), hint=hint) from error


def facet_of(taxonomy: Taxonomy, name: str) -> Facet:
    """Return a facet that a person named.

    Raises
    ------
    TaggerError
        With the facets there are, if there is none of that name.
    """
    try:
        return taxonomy.facet(name)
    except KeyError as error:
        known = ", ".join(facet.name for facet in taxonomy.facets)
        raise TaggerError(f"there is no facet '{name}'", hint=f"Known: {known}") from error


def tag_of(facet: Facet, name: str) -> Tag:
    """Return a tag that a person named.

    Raises
    ------
    TaggerError
        With the tags there are, if there is none of that name.
    """
    for tag in facet.tags:
        if tag.name == name:
            return tag
    raise TaggerError(
        f"'{facet.name}' has no tag '{name}'", hint=f"Known: {', '.join(facet.tag_names)}"
    )


def _check_new(facet: Facet, name: str) -> None:
    if name in facet.tag_names:
        raise TaggerError(
            f"'{facet.name}' has a tag '{name}' already",
            hint="To make two tags one: tagger taxonomy merge",
        )


def _same(facet: Facet) -> dict[str, str]:
    return {name: name for name in facet.tag_names}


def _with_ancestors(facet: Facet, tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags and what they imply, whatever else a taxonomy edited by hand has lost."""
    return facet.with_ancestors(tag for tag in tags if tag in facet.tag_names)


def _without(
    facet: Facet, gone: set[str], keeper: str | None, change: MergeTags | RetireTag
) -> list[Tag]:
    """Return the tags of a facet with ``gone`` become one, or none; children find a new parent."""
    into = change.into
    definition = change.definition if isinstance(change, MergeTags) else None
    # A tag that was there keeps what it implies; a new one implies what all merged ones did.
    implied = [facet.ancestors(tag) for tag in gone if keeper != into] or [
        facet.ancestors(keeper) if keeper else ()
    ]

    def parent_of(tag: Tag) -> str | None:
        if tag.name == keeper:
            # Neither a merged tag nor one below it, or the tag would be its own ancestor.
            above = [
                name
                for name in facet.ancestors(tag.name)
                if not gone & {name, *facet.ancestors(name)}
                and all(name in others for others in implied)
            ]
            return above[0] if above else None
        if tag.parent not in gone:
            return tag.parent
        if keeper is not None:
            return into
        above = [name for name in facet.ancestors(tag.name) if name not in gone]
        return above[0] if above else None

    def examples_of(tag: Tag) -> tuple[str, ...]:
        """Return a tag's own, and then, if papers of others become its, theirs."""
        others = [other for other in facet.tags if tag.name == keeper and other.name in gone]
        joined = dict.fromkeys(example for other in others for example in other.examples)
        more = [example for example in joined if example not in tag.examples]
        return (*tag.examples, *more)[:MOST_EXAMPLES]

    return [
        tag.model_copy(
            update={
                "name": into if into and tag.name == keeper else tag.name,
                "definition": definition if definition and tag.name == keeper else tag.definition,
                "parent": parent_of(tag),
                "examples": examples_of(tag),
            }
        )
        for tag in facet.tags
        if tag.name not in gone or tag.name == keeper
    ]
