"""The user's own BibTeX and RIS files given back, their papers' tags among the keywords."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tagger._util.atomic import replacing, replacing_bytes
from tagger.errors import TaggerError
from tagger.papers import PaperCollection
from tagger.tagging.writers.bibtex import add_bibtex_keywords
from tagger.tagging.writers.ris import add_ris_keywords
from tagger.taxonomy import Taxonomy

WRITTEN_FILE = ".tagged_libraries.json"
"""Which libraries in a folder tagger wrote, by the SHA-256 of what they held: no other file, and
none that was changed since, is overwritten."""

_AddKeywords = Callable[[str, Sequence[Sequence[str]], re.Pattern[str]], str]
_WRITERS: Mapping[str, tuple[str, _AddKeywords]] = {
    "bibtex": (".bib", add_bibtex_keywords),
    "ris": (".ris", add_ris_keywords),
}
"""Per format, the usual end of a file's name, and what puts keywords in."""


def write_libraries(
    read: PaperCollection,
    tags: Iterable[Mapping[str, Sequence[str]]],
    taxonomy: Taxonomy,
    folder: Path,
    taken: Iterable[Path] = (),
) -> list[Path]:
    """Write each BibTeX and RIS file to a folder, with its papers' tags as keywords.

    Only keywords are added, or replaced where they were put there for other tags: all other bytes
    are those of the file. It keeps its name, with a number if another one has it: only what was
    written here before, and is as it was left, is overwritten, and none of ``taken``. A file that
    was changed since it was read raises :class:`TaggerError`; one that is compressed or lies in
    object storage is not given back. Returned is what was written.
    """
    libraries = [
        file
        for file in read.files
        if file.format in _WRITERS and (file.source.stamp or file.source.content)
    ]
    if not libraries:
        return []
    numbers = [read.papers.numbers[file.entries.start : file.entries.stop] for file in libraries]
    wanted = np.zeros(len(read.papers), dtype=bool)
    wanted[np.concatenate(numbers)] = True
    # Of many papers, most have the keywords of another.
    distinct: dict[tuple[str, ...], tuple[str, ...]] = {}
    keywords = {}
    for number, of_paper in enumerate(tags):
        if wanted[number]:
            # The facet in front tells such a keyword from those of the user.
            own = tuple(f"{facet}: {tag}" for facet, given in of_paper.items() for tag in given)
            keywords[number] = distinct.setdefault(own, own)
    facets = "|".join(re.escape(facet.name) for facet in taxonomy.facets)
    # Also those of former tags.
    ours = re.compile(rf"(?:{facets}): [a-z0-9][a-z0-9_-]*")
    reserved = set(map(_key, [*(file.source.path for file in read.files), *taken]))
    known = _written_before(folder)
    written = []
    for file, papers in zip(libraries, numbers, strict=True):
        suffix, add_keywords = _WRITERS[file.format]
        path = _free_path(folder, file.source.name, suffix, reserved, known)
        reserved.add(_key(path))
        if file.source.has_changed:
            raise TaggerError(
                "was changed while its papers were tagged",
                path=file.source.path,
                hint="Give the same command again",
            )
        of_records: list[Sequence[str]] = [keywords[number] for number in papers.tolist()]
        for place in sorted(file.problems):
            of_records.insert(place, ())
        content = file.source.encode(add_keywords(file.source.text, of_records, ours))
        # Noted before, beside what it replaces: a kill may leave either.
        digests = {_digest_of(path), hashlib.sha256(content).hexdigest()}
        known[path.name] = sorted(digest for digest in digests if digest)
        with replacing(folder / WRITTEN_FILE) as note:
            json.dump(known, note, indent=1)
        with replacing_bytes(path) as out:
            out.write(content)
        written.append(path)
    return written


def _free_path(
    folder: Path, name: str, suffix: str, reserved: set[str], known: Mapping[str, Sequence[str]]
) -> Path:
    """Return where to write a file of that name without overwriting what is not ours."""
    given = Path(name)
    suffix = given.suffix or suffix
    path = folder / f"{given.stem}{suffix}"
    number = 2
    while _key(path) in reserved or (
        path.exists() and _digest_of(path) not in known.get(path.name, ())
    ):
        path = folder / f"{given.stem}-{number}{suffix}"
        number += 1
    return path


def _written_before(folder: Path) -> dict[str, list[str]]:
    """Return what libraries in a folder held when they were written, by name."""
    try:
        known = json.loads((folder / WRITTEN_FILE).read_text(encoding="utf-8"))
        return {name: held for name, held in known.items() if isinstance(held, list)}
    except (OSError, ValueError, AttributeError):
        return {}


def _digest_of(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _key(path: Path) -> str:
    """Return what two names of one file have in common, also where case does not count."""
    return str(path.resolve()).casefold()
