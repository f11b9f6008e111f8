"""Write tagged papers as Markdown notes with properties, one note a paper, for Obsidian.

A note belongs to a paper by its property ``tagger-id``, so it may be renamed or moved within the
folder. What is above the marker line is tagger's, except for properties and tags that somebody
added. What is below it, and every other file, stays as it is.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tagger._util.atomic import replacing_bytes
from tagger._util.text_safety import UNSAFE, as_markdown
from tagger.errors import TaggerError
from tagger.papers import TaggedPaper
from tagger.tagging.writers.jsonl import read_abstracts
from tagger.taxonomy import Taxonomy

MARKER = "%% Write below this line: tagger changes only what is above it. %%"
_ID = re.compile(r"^tagger-id: *[\"']?(p-[0-9a-f]{16})\b", re.MULTILINE)
_MARKED = re.compile(rf"^{re.escape(MARKER)}[ \t\r]*$", re.MULTILINE)
_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t\r]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_PROPERTY = re.compile(r"^(?=[^\s#-])", re.MULTILINE)
_NAME = re.compile(r"[\"']?([\w-]+)[\"']?[ \t]*:")
_OURS = ("title", "tags", "identifiers", "confidence", "review", "tagger-id")
# Not allowed in file names of Windows, or in links of Obsidian.
_NOT_IN_NAMES = re.compile(rf"{UNSAFE.pattern}|[\t\n<>:\"/\\|?*#^\[\]%]")
# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
_RESERVED = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[\d\u00b9\u00b2\u00b3])\s*(?:\.|$)", re.I)
_MOST_CHARACTERS = 100
_MOST_BYTES = 200
_YAML = YAML()
_YAML.width = 1_000_000
_YAML.indent(mapping=2, sequence=4, offset=2)
_LOG = logging.getLogger(__name__)


def write_notes(papers: Iterable[TaggedPaper], taxonomy: Taxonomy, folder: Path) -> None:
    """Write or update the notes of papers in a folder; other notes stay.

    Abstracts are those that are kept next to the folder. A note whose marker line is gone, or whose
    properties cannot be read, is left as it is, with a warning.
    """
    abstracts = read_abstracts(folder.parent)
    known = {key: path for path in sorted(folder.rglob("*.md")) for key in _ids_of(path)}
    taken = {_folded(path.name) for path in folder.glob("*")}
    facets = {facet.name for facet in taxonomy.facets}
    kept: list[str] = []
    for paper, note in _with_notes(papers, known):
        key = _key(paper.id)
        path = note or _free_path(folder, paper.title, key, taken)
        taken.add(_folded(path.name))
        old = _read(note) if note else None
        new = _note(paper, key, abstracts.get(paper.id, ""), old, facets)
        if new is None:
            kept.append(path.name)
        elif new != old:
            with replacing_bytes(path) as file:
                file.write(new.encode("utf-8", "surrogateescape"))
    if kept:
        _LOG.warning("notes with damaged properties or marker are left: %s", ", ".join(kept[:9]))


def _with_notes(
    papers: Iterable[TaggedPaper], known: dict[str, Path]
) -> Iterator[tuple[TaggedPaper, Path | None]]:
    """Yield papers with their notes, and remove these from ``known``, the notes by key.

    A paper whose id has changed, because it has gained an identifier, has the note of another of
    its ids, if no other paper has it.
    """
    renamed: list[tuple[TaggedPaper, list[str]]] = []
    for paper in papers:
        note = known.pop(_key(paper.id), None)
        others = [] if note else [_key(name) for name in sorted(paper.paper.known_as)]
        if known.keys().isdisjoint(others):
            yield paper, note
        else:
            renamed.append((paper, others))
    for paper, keys in renamed:
        yield paper, next((known.pop(key) for key in keys if key in known), None)


def _key(name: str) -> str:
    return f"p-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:16]}"


def _note(
    paper: TaggedPaper, key: str, abstract: str, old: str | None, facets: Collection[str]
) -> str | None:
    """Return a note, with what others wrote into the old one; None if the old one is damaged."""
    front = _FRONT.match(old) if old else None
    mark = _MARKED.search(old, front.end()) if old and front else None
    if old and not (front and mark):
        return None
    before = list(_properties(front[1].replace("\r\n", "\n") if front else ""))
    try:
        listed = YAML(typ="safe").load("".join(text for name, text in before if name == "tags"))
        tags = (listed and listed["tags"]) or []
        tags = re.split(r"[,\s]+", tags) if isinstance(tags, str) else tags
        named = [str(tag) for tag in tags if tag not in (None, "")]
        others = [tag for tag in named if tag.lstrip("#").partition("/")[0] not in facets]
        file = io.StringIO()
        _YAML.dump(_values(paper, key, others), file)
        file.writelines(text for name, text in before if name not in _OURS)
        properties = file.getvalue()
        YAML(typ="safe").load(properties)
    except (YAMLError, ValueError, LookupError, TypeError):
        return None
    # Two percent signs begin a comment.
    shown = as_markdown(UNSAFE.sub("", abstract)).replace("%", "\\%")
    text = f"> {shown}\n\n" if abstract else ""
    below = old[mark.start() :] if old and mark else f"{MARKER}\n"
    return f"---\n{properties}---\n{text}{below}"


def _values(paper: TaggedPaper, key: str, others: list[str]) -> dict[str, Any]:
    """Return the properties of a paper; ``others`` are tags of the user."""
    tags = [f"{facet}/{tag}" for facet, names in paper.tags.items() for tag in names]
    values = {
        "title": " ".join(UNSAFE.sub("", paper.title).split()),
        "tags": [*tags, *others],
        "identifiers": list(paper.identifiers),
        "confidence": round(paper.paper_confidence, 2),
        "review": paper.review.reason if paper.review else "",
        "tagger-id": key,
    }
    return {name: value for name, value in values.items() if value not in ("", [])}


def _properties(front: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each property of the front matter; comments belong to the one before.

    The name of text that is not a property is empty.
    """
    for block in _PROPERTY.split(front):
        found = _NAME.match(block)
        yield found[1].casefold() if found else "", block


def _ids_of(path: Path) -> list[str]:
    front = _FRONT.match(_read(path))
    return _ID.findall(front[1]) if front else []


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise TaggerError(f"cannot be read ({error.strerror or error})", path=path) from error


def _free_path(folder: Path, title: str, key: str, taken: Collection[str]) -> Path:
    """Return a path that no other file has, even on a disk that ignores case."""
    text = " ".join(unicodedata.normalize("NFC", _NOT_IN_NAMES.sub(" ", title)).split())
    stem = text[:_MOST_CHARACTERS].encode()[:_MOST_BYTES].decode(errors="ignore").strip(". ")
    if not stem or _RESERVED.match(stem):
        stem = f"Paper {stem}".rstrip()
    endings = chain(("", f" {key[2:8]}"), (f" {key[2:8]}-{number}" for number in count(2)))
    return next(
        path
        for path in (folder / f"{stem}{ending}.md" for ending in endings)
        if _folded(path.name) not in taken
    )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
