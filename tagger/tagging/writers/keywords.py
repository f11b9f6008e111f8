"""Write the user's BibTeX, RIS and CSL JSON files with the tags of their papers as keywords."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from pathlib import Path

import numpy as np

from tagger._util.atomic import cannot_write, replacing, replacing_bytes
from tagger.errors import TaggerError
from tagger.papers import PaperCollection
from tagger.tagging.writers.bibtex import add_bibtex_keywords
from tagger.tagging.writers.csl_json import add_csl_keywords, is_csl_json
from tagger.tagging.writers.ris import add_ris_keywords
from tagger.taxonomy import Taxonomy

WRITTEN_FILE = ".tagged_libraries.json"
"""The files that tagger wrote into a folder, with the SHA-256 of their content. Other files, and
those that were changed afterwards, are not overwritten."""

_AddKeywords = Callable[[str, Sequence[Sequence[str]], re.Pattern[str]], str]
_WRITERS: Mapping[str, tuple[str, _AddKeywords]] = {
    "bibtex": (".bib", add_bibtex_keywords),
    "ris": (".ris", add_ris_keywords),
    "json": (".json", add_csl_keywords),
}
"""Per format, the default suffix and the function that adds keywords."""


def write_with_keywords(
    read: PaperCollection,
    tags: Iterable[Mapping[str, Sequence[str]]],
    taxonomy: Taxonomy,
    folder: Path,
    taken: Iterable[Path] = (),
) -> list[Path]:
    """Write BibTeX, RIS and CSL JSON files to a folder, with the tags of papers as keywords.

    Keywords are added, and keywords that tagger added earlier are replaced; all other bytes stay
    the same. A file keeps its name, with a number appended if the name is in use. Only files
    written earlier and not changed since are overwritten. Compressed files and files in object
    storage are skipped.

    ``tags`` has the tags by facet of each paper of ``read``, in order. Files in ``taken`` are not
    overwritten. Returns the files that were written. Raises a TaggerError if a file was changed
    after it was read, or cannot be written.
    """
    found = [
        file
        for file in read.files
        if file.format in _WRITERS
        and file.entries
        and (file.source.stamp or file.source.content)
        and (file.format != "json" or is_csl_json(file.source))
    ]
    if not found:
        return []
    numbers = [read.papers.numbers[file.entries.start : file.entries.stop] for file in found]
    wanted = np.zeros(len(read.papers), dtype=bool)
    wanted[np.concatenate(numbers)] = True
    keywords = {n: keywords_of(of_paper) for n, of_paper in compress(enumerate(tags), wanted)}
    ours = pattern_of_keywords(facet.name for facet in taxonomy.facets)
    reserved = set(map(_key, [*(file.source.path for file in read.files), *taken]))
    known = _written_before(folder)
    written = []
    for file, papers in zip(found, numbers, strict=True):
        suffix, add_keywords = _WRITERS[file.format]
        path = _free_path(folder, file.source.name, suffix, reserved, known)
        reserved.add(_key(path))
        if file.source.has_changed:
            raise TaggerError(
                "was changed while its papers were tagged",
                path=file.source.path,
                hint="Run the same command again",
            )
        of_records: list[Sequence[str]] = [keywords[number] for number in papers.tolist()]
        for index in sorted([*file.problems, *file.early]):
            of_records.insert(index, ())
        content = file.source.encode(add_keywords(file.source.text, of_records, ours))
        _write_recorded(path, content, known)
        written.append(path)
    return written


def remove_stale_libraries(folder: Path, keep: Iterable[Path]) -> None:
    """Delete the files that :func:`write_with_keywords` wrote into a folder, except ``keep``.

    Files that were changed since stay. Raises a TaggerError if one cannot be deleted.
    """
    known = _written_before(folder)
    kept = {*map(_key, keep)}
    for name, digests in [*known.items()]:
        path = folder / Path(name).name
        if _key(path) in kept or _digest_of(path) not in digests:
            continue
        try:
            path.unlink()
        except OSError as error:
            raise cannot_write(path, error) from error
        del known[name]
        _record(folder, known)


def keywords_of(tags: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the keywords for tags by facet; the facet distinguishes them from the user's."""
    return tuple(f"{facet}: {tag}" for facet, names in tags.items() for tag in names)


def pattern_of_keywords(facets: Iterable[str], prefix: str = "") -> re.Pattern[str]:
    """Return a pattern of such keywords, also for tags that were removed from the taxonomy."""
    names = "|".join(map(re.escape, facets))
    return re.compile(rf"{re.escape(prefix)}(?:{names}): [a-z0-9][a-z0-9_-]*")


def _write_recorded(path: Path, content: bytes, known: dict[str, list[str]]) -> None:
    """Write a file, and record its digest in :data:`WRITTEN_FILE` and in ``known``."""
    # Recorded first, together with the old digest: a kill may leave the old file or the new.
    digests = {_digest_of(path), hashlib.sha256(content).hexdigest()}
    known[path.name] = sorted(digest for digest in digests if digest)
    _record(path.parent, known)
    with replacing_bytes(path) as out:
        out.write(content)


def _record(folder: Path, known: Mapping[str, Sequence[str]]) -> None:
    with replacing(folder / WRITTEN_FILE) as note:
        json.dump(known, note, indent=1)


def _free_path(
    folder: Path, name: str, suffix: str, reserved: set[str], known: Mapping[str, Sequence[str]]
) -> Path:
    """Return a path for a file of that name which overwrites only what tagger wrote."""
    stem, suffix = Path(name).stem, Path(name).suffix or suffix
    path = folder / f"{stem}{suffix}"
    number = 2
    while _key(path) in reserved or (
        path.exists() and _digest_of(path) not in known.get(path.name, ())
    ):
        path = folder / f"{stem}-{number}{suffix}"
        number += 1
    return path


def _written_before(folder: Path) -> dict[str, list[str]]:
    """Return the digests of the files that tagger wrote into a folder, by file name."""
    try:
        known = json.loads((folder / WRITTEN_FILE).read_text(encoding="utf-8"))
        return {name: digests for name, digests in known.items() if isinstance(digests, list)}
    except (OSError, ValueError, AttributeError):
        return {}


def _digest_of(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _key(path: Path) -> str:
    """Return a key that is equal for paths of one file, even if the disk ignores case."""
    return str(path.resolve()).casefold()
