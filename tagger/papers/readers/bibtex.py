"""Reader for BibTeX files of Zotero, JabRef, publishers, arXiv and others.

bibtexparser finds the entries and their fields. Values are resolved here, because its middlewares
drop entries with a repeated key and do not join strings with ``#``.
"""

from __future__ import annotations

import logging
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.cleaning import clean_marked_up_text
from tagger.papers.readers.identifiers import bare_arxiv, identifiers_of, mentions
from tagger.papers.readers.records import make_paper
from tagger.papers.readers.source import Source

_START = re.compile(
    r"(?:Scopus\s+EXPORT DATE:.*\n)?"
    r"(?:[ \t]*(?:%.*)?\r?\n)*"  # comments of JabRef and others
    r"[ \t]*@(?:(?:comment|preamble)[ \t]*[{(]|string[ \t]*[{(]\s*[\w:.-]+\s*="
    r"|[a-z]+[ \t]*[{(]\s*[^\s,{}()]*\s*[,=])",
    re.IGNORECASE,
)
_BELOW_TEXT = re.compile(r"^[ \t]*@[a-z]+[ \t]*[{(]\s*[^\s,{}()]+\s*,\s*[\w-]+\s*=", re.I | re.M)
"""An entry in a text, such as a saved page of search results."""
_MARKUP_OR_MAIL = re.compile(r"[<{\[]|[\w-]+: |From ")
_WITHOUT_KEY = re.compile(
    r"^[ \t]*@(?!comment|preamble|string)[a-z]+[ \t]*[{(](?=\s*[\w-]+\s*=)", re.I | re.M
)
_LINKS = ("url", "ee", "link", "howpublished", "bdsk-url-1", "bdsk-url-2")
_NOTES = ("journal", "journaltitle", "number", "note")
_IDENTITY = ("archiveprefix", "eprinttype", "eprint", "doi", "pmid", *_NOTES, *_LINKS)
_DAYS = ("date", "year", "month", "day", "timestamp", "date-added")
_FIELDS = frozenset({"title", "subtitle", "abstract", *_IDENTITY, *_DAYS})
_NO_WORK = re.compile(r"set|xdata|control|\w*bstctl", re.IGNORECASE)
"""Types of entries that are not papers: biblatex's sets and data, settings of styles."""
_OPENING = {"{": "}", '"': '"'}
_MARK = re.compile(r'(?<!\\)[{}"]|#')
_MAX_STRING = 2000
_MAX_EXPANSION = 20_000
"""Characters of a string (``@string``), and characters that strings may add to one value. Without
limits, nested strings could make a file of one line fill the memory."""
_NAME = re.compile(r'[^\s{}"#=,]*')
"""The name of a string, or a number."""


class BibtexEntry(NamedTuple):
    """An entry of a BibTeX file.

    ``line`` counts from 1, ``body`` is the offset in the text at which the key ends, and ``fields``
    are pairs of a name and a value as written, including braces or quotes.
    """

    line: int
    body: int
    fields: tuple[tuple[str, str], ...]


def recognise(source: Source) -> bool:
    head = source.head
    below_text = not _MARKUP_OR_MAIL.match(head) and _BELOW_TEXT.search(head)
    return bool(_START.match(head) or below_text)


def read(source: Source) -> Iterator[Paper | TaggerError]:
    entries, strings = parse_bibtex(source.text)
    for entry in entries:
        if isinstance(entry, TaggerError):
            yield entry
            continue
        # If a field is repeated, BibTeX reads the first one.
        raw = {name.lower(): value for name, value in reversed(entry.fields)}
        values = {name: _resolve(value, strings) for name, value in raw.items() if name in _FIELDS}
        parts = [clean_marked_up_text(values.get(name, "")) for name in ("title", "subtitle")]
        title = ": ".join(part for part in parts if part)
        abstract, identifiers = values.get("abstract", ""), _identifiers(values)
        full, *parts, stamp, added = (values.get(name, "").strip("{} ") for name in _DAYS)
        days = [full, " ".join(parts), stamp, added]
        yield make_paper(source, entry.line, [title], [abstract], identifiers, days=days)


def parse_bibtex(text: str) -> tuple[list[BibtexEntry | TaggerError], dict[str, str]]:
    """Parse a BibTeX text into its entries, including duplicates, and its strings by name.

    An invalid entry gives an error with the line, and for a value with the field. Entries that
    are not papers, such as biblatex's ``@set`` and ``@xdata``, are skipped. Raises a
    TaggerError if the text is not BibTeX, or a string is too long.
    """
    from bibtexparser import model
    from bibtexparser.entrypoint import parse_string
    from bibtexparser.exceptions import ParsingException

    # Its warnings are reported as errors below.
    logging.getLogger("bibtexparser").setLevel(logging.CRITICAL)
    # The parser expects a comma after the key, also where the key is missing.
    added = [found.end() + n for n, found in enumerate(_WITHOUT_KEY.finditer(text))]
    text = _WITHOUT_KEY.sub(r"\g<0>,", text)
    try:
        library = parse_string(text, parse_stack=[])
    except ParsingException as error:
        raise TaggerError(f"is not valid BibTeX: {error}") from error
    entries: list[BibtexEntry | TaggerError] = []
    strings: dict[str, str] = {}
    offset = 0
    for block in library.blocks:
        if isinstance(block, model.ImplicitComment):
            continue
        raw, line = block.raw or "", (block.start_line or 0) + 1
        kept = block
        while isinstance(kept, model.DuplicateBlockKeyBlock | model.DuplicateFieldKeyBlock):
            kept = kept.ignore_error_block or kept
        if isinstance(kept, model.ParsingFailedBlock):
            reason = " ".join(getattr(kept.error, "abort_reason", str(kept.error)).split())
            problem = f"this entry is not valid BibTeX: {reason.rstrip('.')}"
            hint = "Look for a missing brace or comma here"
            entries.append(TaggerError(problem, line=line, hint=hint))
            continue
        start = text.index(raw, offset)
        offset = start + len(raw)
        body = max(start, text.find(",", start, offset))
        body -= bisect_left(added, body)
        if isinstance(kept, model.String):
            resolved = strings[kept.key.lower()] = _resolve(str(kept.value), strings)
            if len(resolved) > _MAX_STRING:
                raise TaggerError(
                    f"the string '{kept.key}' has {len(resolved):,} characters, more than the "
                    f"{_MAX_STRING:,} allowed",
                    line=line,
                    hint="Write long texts into the entries that use them",
                )
        elif isinstance(kept, model.Entry) and not _NO_WORK.fullmatch(kept.entry_type):
            try:
                entries.append(BibtexEntry(line, body, tuple(map(_checked_field, kept.fields))))
            except TaggerError as error:
                entries.append(error)
    return entries, strings


def _checked_field(field: Any) -> tuple[str, str]:
    value = str(field.value)
    if not _is_value(value):
        raise TaggerError(
            "this value is not closed correctly",
            line=(field.start_line or 0) + 1,
            field=" ".join(field.key.lower().split()),
            hint="Look for a missing comma after it",
        )
    return field.key, value


def literals(value: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each part of a value joined by ``#``, without white space."""
    depth, quoted, start = 0, False, 0
    for found in _MARK.finditer(value):
        mark = found[0]
        if mark == "{":
            depth += 1
        elif mark == "}":
            depth -= 1
        elif depth == 0 and mark == '"':
            quoted = not quoted
        elif depth == 0 and not quoted:
            yield _stripped(value, start, found.start())
            start = found.end()
    yield _stripped(value, start, len(value))


def _stripped(value: str, start: int, end: int) -> tuple[int, int]:
    part = value[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def is_enclosed(part: str) -> bool:
    """Return whether a part of a value is a text in braces or quotes, not the name of a string."""
    if len(part) < 2 or _OPENING.get(part[0]) != part[-1]:
        return False
    depth = 0
    for found in _MARK.finditer(part):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if found[0] == part[-1] and depth == 0 and found.start() > 0:
            return found.end() == len(part)
    return False


def _is_value(value: str) -> bool:
    """Return whether each part is enclosed, a name or a number; a missing comma is detected."""
    parts = [value[start:end] for start, end in literals(value)]
    return all(is_enclosed(part) or _NAME.fullmatch(part) for part in parts)


def _resolve(value: str, strings: Mapping[str, str]) -> str:
    resolved = []
    remaining = len(value) + _MAX_EXPANSION
    for start, end in literals(value):
        part = value[start:end]
        resolved.append(part[1:-1] if is_enclosed(part) else strings.get(part.lower(), part))
        remaining -= len(resolved[-1])
        if remaining < 0:
            break
    return "".join(resolved)


def _identifiers(values: Mapping[str, str]) -> tuple[str, ...]:
    archive, eprint, doi, pmid, journal = (
        values.get(name, "") for name in ("archiveprefix", "eprint", "doi", "pmid", "journal")
    )
    notes = " ".join(values.get(name, "") for name in _NOTES)
    archive = (archive or values.get("eprinttype", "")).strip("{} ").lower()
    # An eprint without archive is an arXiv id if it contains "arxiv" or has the form of one.
    of_arxiv = archive == "arxiv" or (
        not archive and ("arxiv" in eprint.lower() or bare_arxiv(eprint.strip("{} ")) is not None)
    )
    of_pubmed = archive in ("pubmed", "pmid", "medline")
    return identifiers_of(
        dois=[doi],
        arxiv=[eprint if of_arxiv else "", *mentions("arxiv", journal)],
        pmids=[pmid.strip("{} "), eprint if of_pubmed else "", *mentions("pmid", notes)],
        links=[values.get(name, "") for name in _LINKS],
    )
