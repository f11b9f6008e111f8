"""A taxonomy in the making: begun from a template, or facet by facet, and written as YAML."""

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

EMPTY = "empty"
"""The template that holds an example and nothing else."""
_TEMPLATES = Path(str(resources.files("tagger"))) / "taxonomy" / "templates"
_WIDTH = 100
_HEADER = """\
# What the papers of this review are tagged with. A facet is a question asked of every paper, its
# tags are the answers. Change all of it freely.
#
# Definitions count: as long as nothing is labelled they are all that is known of a tag. Say in a
# sentence or two what such a paper does or is about, in the words that abstracts use. Examples
# help: a dozen titles or sentences typical of a tag, made up or not ("examples: [One, Another]").
#
# A tag may stand below another of its facet ("parent: drugs"): a paper that has it has that one,
# too. Names are lower-case letters, digits, '-' and '_'.
"""


def template_names() -> list[str]:
    """Return the names of the templates, the empty one last."""
    names = (path.stem for path in _TEMPLATES.glob("*.yaml"))
    return sorted(names, key=lambda name: (name == EMPTY, name))


def load_template(name: str) -> Taxonomy:
    """Return the template of that name; raises TaggerError if there is none."""
    if name not in template_names():
        raise TaggerError(
            f"there is no template '{name}'", hint=f"Known: {', '.join(template_names())}"
        )
    return load_taxonomy(_TEMPLATES / f"{name}.yaml")


class TaxonomyDraft:
    """A taxonomy to which facets and tags are added; a TaggerError says what cannot be added."""

    def __init__(self, template: Taxonomy | None = None) -> None:
        content = template.model_dump() if template else {"facets": ()}
        self._facets: dict[str, dict[str, Any]] = {
            facet["name"]: {**facet, "tags": list(facet["tags"])} for facet in content["facets"]
        }

    def add_facet(self, name: str, definition: str, *, exclusive: bool = False) -> None:
        """Add a facet, without tags as yet."""
        fields = tag_fields(name=name, definition=definition)
        if name in self._facets:
            raise TaggerError(f"the facet '{name}' is there already")
        self._facets[name] = {**fields, "exclusive": exclusive, "tags": []}

    def add_tag(self, facet: str, name: str, definition: str) -> None:
        """Add a tag to a facet."""
        if facet not in self._facets:
            known = ", ".join(self._facets)
            raise TaggerError(
                f"there is no facet '{facet}' for the tag '{name}'",
                hint=f"Known: {known}" if known else "Add the facet first",
            )
        tags = self._facets[facet]["tags"]
        fields = tag_fields(name=name, definition=definition)
        if any(tag["name"] == name for tag in tags):
            raise TaggerError(f"the facet '{facet}' has a tag '{name}' already")
        tags.append(fields)

    def check_tags_of(self, facet: str) -> None:
        """Check that a facet has as many tags as it needs."""
        content = self._facets[facet]
        least = 2 if content["exclusive"] else 1
        if len(content["tags"]) < least:
            raise TaggerError(
                f"the facet '{facet}' has too few tags ({len(content['tags'])})",
                hint=f"It needs {least} or more",
            )

    def finished(self, name: str) -> Taxonomy:
        """Return the taxonomy, if it has a facet and each facet enough tags."""
        if not self._facets:
            raise TaggerError("a taxonomy needs a facet")
        for facet in self._facets:
            self.check_tags_of(facet)
        return Taxonomy.model_validate({"name": name, "facets": list(self._facets.values())})


def write_taxonomy(path: Path, taxonomy: Taxonomy) -> None:
    """Write a taxonomy to a new file, with comments that say how to go on."""
    check_free(path)
    with replacing(path) as file:
        file.write(to_yaml(taxonomy))


def check_free(path: Path) -> None:
    """Raise TaggerError if there is a taxonomy already."""
    if path.exists():
        raise TaggerError(
            "there is a taxonomy already, which stays as it is",
            path=path,
            hint="Edit it, or name another folder",
        )


def to_yaml(taxonomy: Taxonomy) -> str:
    """Return a taxonomy as YAML, with comments for whoever edits it."""
    content = CommentedMap(taxonomy.model_dump(exclude_none=True))
    content["facets"] = CommentedSeq(map(CommentedMap, content["facets"]))
    for number, facet in enumerate(taxonomy.facets):
        content["facets"][number]["exclusive"] = str(facet.exclusive).lower()
        count = "Exactly one" if facet.exclusive else "None, one or several"
        content["facets"].yaml_set_comment_before_after_key(
            number, before=f"{count} of these tags a paper.", indent=2
        )
    return _HEADER + dump_yaml(content, _WIDTH)


def taxonomy_name(folder: Path) -> str:
    """Return a name for the taxonomy of a folder, made of the folder's own."""
    name = re.sub(r"[^a-z0-9_-]+", "-", folder.resolve().name.lower()).strip("-_")[:50]
    return name or "review"
