"""Describe a file that no reader recognises, and suggest what to export instead."""

from __future__ import annotations

import re

from tagger.errors import TaggerError
from tagger.papers.readers.markup import root_element
from tagger.papers.readers.source import Source

_EXPORT = "Export the papers as RIS, BibTeX or CSV, and tag that file"
_BY_START = {
    b"version https://git-lfs": "a pointer of Git LFS",
    b"%PDF": "a PDF file",
    b"{\\rtf": "a rich text file (RTF)",
    b"\x1f\x8b": "a compressed file (gzip)",
    b"BZh": "a compressed file (bzip2)",
    b"\x28\xb5\x2f\xfd": "a compressed file (Zstandard)",
    b"7z\xbc\xaf": "a compressed file (7z)",
    b"Rar!": "a compressed file (RAR)",
    b"SQLite format 3": "an SQLite database, such as the library of a reference manager",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}
_BY_LINES = {
    r"\s*\\(?:documentclass|begin|section|usepackage|bibitem)": "a LaTeX document",
    r"\s*(?:%\S|[A-Z][A-Z0-9]{1,3} {0,2}-? )": "records of tagged fields",
    r"\s*[\w-]+:(?:\s|$)|- ": "records of fields and values, such as YAML",
    r"\s*<": "markup",
}
_HINTS = {"pointer": "Get the data first: git lfs pull", "compressed": "Unpack it first"}


def refusal_by_start(source: Source) -> TaggerError | None:
    """Return an error if the first bytes show that a file is not a list of papers."""
    for start, kind in _BY_START.items():
        if source.start.startswith(start):
            hint = next((text for word, text in _HINTS.items() if word in kind), _EXPORT)
            return TaggerError(f"looks like {kind}, not a list of papers", hint=hint)
    return None


def refusal(source: Source) -> TaggerError:
    """Return an error that describes a text that no reader recognises."""
    if source.bad_bytes:
        raise source.bad_bytes
    root = root_element(source.head)
    if root:
        problem = f"looks like XML of an unknown kind (root element <{root}>)"
        hint = f"{_EXPORT}; MODS and the XML of PubMed and EndNote are read, too"
        return TaggerError(problem, hint=hint)
    lines = [line for line in source.head.splitlines() if line.strip()]
    if not lines:
        return TaggerError("the file contains no papers: it is blank")
    for pattern, kind in _BY_LINES.items():
        if 2 * sum(bool(re.match(pattern, line)) for line in lines) > len(lines):
            return TaggerError(f"looks like {kind}, which cannot be read", hint=_EXPORT)
    return TaggerError(
        "looks like a text without a list of papers: no titles with abstracts below them",
        hint=f"Write each paper as a title, a blank line and the abstract. Or: {_EXPORT}",
    )
