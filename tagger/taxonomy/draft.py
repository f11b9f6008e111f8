"""Draft a new taxonomy from a template, or facet by facet, and write it as YAML."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from tagger._util.atomic import replacing
from tagger.errors import TaggerError
from tagger.taxonomy.changes import tag_fields
from tagger.taxonomy.file import dump_yaml, load_taxonomy
from tagger.taxonomy.schema import Taxonomy

EMPTY_TEMPLATE = "empty"
"""The name of the template that contains only an example."""
_TEMPLATES = Path(str(resources.files("tagger"))) / "taxonomy" / "templates"
_WIDTH = 100
_HEADER = """\
# The tags of this review. A facet is a question about every paper, its tags are the answers. Edit
# this file freely.
#
# Definitions matter: without labels, a model knows a tag only by its definition. Describe in one or
# two sentences what such a paper does or is about, in the words that abstracts use. Examples help:
# a dozen titles or sentences typical of a tag, real or invented ("examples: [One, Another]").
#
# A tag may have a parent in its facet ("parent: drugs"): a paper with the tag also has the parent.
# Names consist of lower-case letters, digits, '-' and '_'.
"""


def template_names() -> list[str]:
    """Return the names of the templates, with the empty one last."""
    names = (path.stem for path in _TEMPLATES.glob("*.yaml"))
    return sorted(names, key=lambda name: (name == EMPTY_TEMPLATE, name))


def load_template(name: str) -> Taxonomy:
    """Return a template by name; raise TaggerError if it is unknown."""
    if name not in template_names():
        raise TaggerError(
            f"unknown template '{name}'", hint=f"Known: {', '.join(template_names())}"
        )
    return load_taxonomy(_TEMPLATES / f"{name}.yaml")


class TaxonomyDraft:
    """An unfinished taxonomy. Each method raises TaggerError if its argument is not allowed."""

    def __init__(self, template: Taxonomy | None = None) -> None:
        content = template.model_dump() if template else {"facets": ()}
        self._facets: dict[str, dict[str, Any]] = {
            facet["name"]: {**facet, "tags": list(facet["tags"])} for facet in content["facets"]
        }

    def add_facet(self, name: str, definition: str, *, exclusive: bool = False) -> None:
        """Add a facet without tags."""
        fields = tag_fields(name=name, definition=definition)
        if name in self._facets:
            raise TaggerError(f"the facet '{name}' already exists")
        self._facets[name] = {**fields, "exclusive": exclusive, "tags": []}

    def add_tag(self, facet: str, name: str, definition: str) -> None:
        """Add a tag to a facet."""
        if facet not in self._facets:
            known = ", ".join(self._facets)
            raise TaggerError(
                f"unknown facet '{facet}' of the tag '{name}'",
                hint=f"Known: {known}" if known else "Add the facet first",
            )
        tags = self._facets[facet]["tags"]
        fields = tag_fields(name=name, definition=definition)
        if any(tag["name"] == name for tag in tags):
            raise TaggerError(f"the facet '{facet}' already has a tag '{name}'")
        tags.append(fields)

    def check_tags_of(self, facet: str) -> None:
        """Check that a facet has enough tags: two if it is exclusive, else one."""
        content = self._facets[facet]
        least = 2 if content["exclusive"] else 1
        if len(content["tags"]) < least:
            raise TaggerError(
                f"the facet '{facet}' has too few tags ({len(content['tags'])})",
                hint=f"Add tags until it has at least {least}",
            )

    def build(self, name: str) -> Taxonomy:
        """Return the taxonomy; it needs at least one facet, and enough tags in each facet."""
        if not self._facets:
            raise TaggerError("a taxonomy needs at least one facet")
        for facet in self._facets:
            self.check_tags_of(facet)
        return Taxonomy.model_validate({"name": name, "facets": list(self._facets.values())})


def write_taxonomy(path: Path, taxonomy: Taxonomy) -> None:
    """Write a taxonomy to a new file, with comments for users who edit it."""
    check_no_taxonomy(path)
    with replacing(path) as file:
        file.write(to_yaml(taxonomy))


def check_no_taxonomy(path: Path) -> None:
    """Raise TaggerError if the taxonomy file exists."""
    if path.exists():
        raise TaggerError("already exists", path=path, hint="Edit it, or choose another folder")


def to_yaml(taxonomy: Taxonomy) -> str:
    """Return a taxonomy as YAML, with comments for users who edit it."""
    content = CommentedMap(taxonomy.model_dump(exclude_none=True))
    content["facets"] = CommentedSeq(map(CommentedMap, content["facets"]))
    for number, facet in enumerate(taxonomy.facets):
        content["facets"][number]["exclusive"] = str(facet.exclusive).lower()
        count = "Exactly one" if facet.exclusive else "None, one or several"
        content["facets"].yaml_set_comment_before_after_key(
            number, before=f"{count} of these tags per paper.", indent=2
        )
    return _HEADER + dump_yaml(content, _WIDTH)


def taxonomy_name(folder: Path) -> str:
    """Derive a valid name for a taxonomy from that of its folder, or of the one around 'labels'."""
    path = folder.resolve()
    # Reviews with a server in common are told apart by it.
    own = path.parent if path.name == "labels" else path
    name = re.sub(r"[^a-z0-9_-]+", "-", own.name.lower()).strip("-_")[:50]
    return name or "review"
