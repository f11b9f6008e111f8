"""The user's own BibTeX and RIS files given back, their papers' tags among the keywords."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tagger.durable import replacing
from tagger.paper import group_entries, merge_duplicates
from tagger.readers import PaperFile
from tagger.taxonomy import Taxonomy
from tagger.writers.bibtex import add_bibtex_keywords
from tagger.writers.keywords import keyword_pattern, keywords_of
from tagger.writers.ris import add_ris_keywords

_AddKeywords = Callable[[str, Sequence[Sequence[str]], re.Pattern[str]], str]
_WRITERS: Mapping[str, tuple[str, _AddKeywords]] = {
    "bibtex": (".bib", add_bibtex_keywords),
    "ris": (".ris", add_ris_keywords),
}
"""Per format, the usual end of a file's name, and what puts keywords in."""


def write_libraries(
    files: Sequence[PaperFile],
    rows: Iterable[Mapping[str, Any]],
    taxonomy: Taxonomy,
    folder: Path,
    taken: Iterable[Path] = (),
) -> list[Path]:
    """Write each BibTeX and RIS file to a folder, with its papers' tags as keywords.

    Only keywords are added: all other bytes are those of the file. Keywords that were put there
    for other tags are replaced. A file keeps its name, with a number if another one has it, and
    no file that was read is overwritten.

    Parameters
    ----------
    files:
        All files that were read together; those of other formats are passed over.
    rows:
        Their papers, merged and tagged, as in ``tags.jsonl``.
    taxonomy:
        What the tags are of.
    folder:
        Where to write; made if missing.
    taken:
        Files in it that must not be overwritten.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    TaggerError
        If the folder cannot be written to.
    """
    entries = [paper for file in files for paper in file.papers]
    tags = {row["id"]: row["tags"] for row in rows}
    keywords: list[list[str]] = [[] for _ in entries]
    for paper, places in zip(merge_duplicates(entries), group_entries(entries), strict=True):
        for place in places:
            keywords[place] = keywords_of(tags[paper.id])
    ours = keyword_pattern(taxonomy)
    reserved = {_key(file.source.path) for file in files} | set(map(_key, taken))
    written, start = [], 0
    for file in files:
        end = start + len(file.papers)
        if file.format.name in _WRITERS:
            suffix, add_keywords = _WRITERS[file.format.name]
            path = _free_path(folder, file.source.name, suffix, reserved)
            reserved.add(_key(path))
            text = add_keywords(file.source.text, keywords[start:end], ours)
            with replacing(path) as out:
                out.write("\ufeff" if file.source.data.startswith(BOM_UTF8) else "")
                out.write(text)
            written.append(path)
        start = end
    return written


def _free_path(folder: Path, name: str, suffix: str, reserved: set[str]) -> Path:
    """Return where to write a file of that name without overwriting another."""
    given = Path(name)
    suffix = given.suffix or suffix
    path = folder / f"{given.stem}{suffix}"
    number = 2
    while _key(path) in reserved:
        path = folder / f"{given.stem}-{number}{suffix}"
        number += 1
    return path


def _key(path: Path) -> str:
    """Return what two names of one file have in common, also where case does not count."""
    return str(path.resolve()).casefold()
