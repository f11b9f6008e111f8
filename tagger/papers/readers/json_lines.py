"""Reader for JSON: one object a line (JSON Lines), consecutive objects, an array of objects, or an
answer of an API that holds such an array: OpenAlex, Crossref, Semantic Scholar, Zotero and others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from tagger.errors import TaggerError
from tagger.papers.paper import Paper
from tagger.papers.readers.columns import Columns, has_column
from tagger.papers.readers.identifiers import mentions
from tagger.papers.readers.records import Notice
from tagger.papers.readers.source import Source

_START = re.compile(r'\{\s*["}]|\[\s*[{\]]')
_SPACE = re.compile(r"\s*")
_ARRAY = re.compile(r'"\s*:\s*(?=\[\s*\{)')
_NEXT_OBJECT = re.compile(r"\}\s*,\s*(?=\{)")
_DECODER = json.JSONDecoder()
_KINDS = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
_WRAPPERS = ["data", "message", "attributes", "paper", "_source", "metadata", "bibjson"]
_WRAPPERS += ["info", "content"]
"""Fields in which an API puts the fields of a paper."""
_MOST_ARRAYS = 100
"""Arrays of a broken answer of which the first object is looked at."""
_DEPTH = 4
"""Levels of an answer that are searched for the array of papers."""
_RESULTS = ("items", "results", "papers", "entries", "data")
"""Fields with the papers of an answer that has a title itself, such as a JSON Feed."""
_LONGEST_WORD = len("false")
_LISTS = {
    "titles": ("title", "title"),
    "abstracts": ("value", "abstract"),
    "descriptions": ("description", "abstract"),
    "dois": ("value", "doi"),
    "arxiv_eprints": ("value", "arxiv"),
}
"""Lists of objects in which DataCite and INSPIRE put texts, the key of the text, and its field."""
_IDENTIFIERS = ("ids", "externalIds", "external_ids")
NO_PAPERS = ("attachment", "note", "annotation")  # a value of any type is compared with them
"""Zotero's types of items that are not papers."""


class _CutError(TaggerError):
    """The text ends within a value."""


def recognise(source: Source) -> bool:
    """Recognise JSON by its first two characters, since a page may begin with a bracket, too."""
    return _START.match(source.head) is not None


def read(source: Source) -> Iterator[Paper | TaggerError | Notice]:
    # The first pass collects the field names of all objects, the second yields the papers.
    names: dict[str, None] = {}
    for _, value in read_values(source):
        if isinstance(value, dict):
            names.update(dict.fromkeys(fields_of(value)))
    # Without field names every value is invalid.
    columns = Columns.find(list(names), source) if names else Columns({})
    wanted, chosen = columns.select(list(names))
    for line, value in read_values(source):
        if isinstance(value, dict):
            fields = fields_of(value)
            if fields.get("itemType") not in NO_PAPERS:
                yield chosen.paper([fields.get(name) for name in wanted], source, line)
        elif isinstance(value, TaggerError | Notice):
            yield value
        else:
            found = _KINDS.get(type(value), "a number")
            problem = f"expected an object with the fields of a paper, found {found}"
            yield TaggerError(problem, line=line)


def paper_of(value: Mapping[str, Any]) -> Paper | TaggerError:
    """Return the paper that an object of an API describes, or an error if it has no title."""
    fields, source = fields_of(value), Source("", Path())
    try:
        wanted, chosen = Columns.find(list(fields), source).select(list(fields))
    except TaggerError as error:
        return error
    return chosen.paper([fields[name] for name in wanted], source, 1)


def read_values(source: Source) -> Iterator[tuple[int, Any]]:
    """Yield each value with its line, and an error for each invalid one.

    An object that has no title but holds an array of objects that have is replaced by these; so is
    one with a title but no abstract and no identifier, if the array has a usual name.
    """
    first, end, _ = source.head.partition("\n")
    if first.startswith("["):
        yield from (found[:2] for found in read_array(source.text, 0, 1))
    elif end and not first.rstrip().endswith("}"):
        yield from _objects(source.text, 1, source)
    else:
        with source.open_text("\n") as file:
            for number, text in enumerate(file, start=1):
                yield from _objects(text, number, source)


def _objects(text: str, line: int, source: Source) -> Iterator[tuple[int, Any]]:
    """Yield the papers of consecutive objects or answers, ``text`` being (a line of) a source."""
    for place, at, value in _sequence(text, line):
        is_broken = at == 1 and isinstance(value, TaggerError)
        papers = _papers_of_broken(text) if is_broken and text == source.text else []
        if papers:
            yield from papers
            if not any(isinstance(paper, TaggerError) for _, paper in papers):
                yield at, value
            return
        yield from _unpacked(text, place, at, value)


def _papers_of_broken(text: str) -> list[tuple[int, Any]]:
    """Return the papers of an answer that is cut off or has an error, and errors, with lines."""
    for found in islice(_ARRAY.finditer(text), _MOST_ARRAYS):
        first = next(read_array(text, found.end(), 1))[1]
        if isinstance(first, dict) and _has_title(first):
            line = 1 + text.count("\n", 0, found.end())
            papers = list(read_array(text, found.end(), line, is_part=True))
            line, last, start = papers[-1]
            end = len(text) if isinstance(last, TaggerError) else _decode(text, start, line)[1]
            # A paper that is broken itself may list others: then it has a title of its own.
            own = text[: found.start()] + text[end:]
            return [] if '"title"' in own else [each[:2] for each in papers]
    return []


def _unpacked(text: str, place: range, line: int, value: Any) -> Iterator[tuple[int, Any]]:
    """Yield the papers of the answer of an API at a place of a text, or else the value."""
    path = _path_of_papers(value) if isinstance(value, dict) else []
    papers = value
    for key in path:
        papers = papers[key]
    if not path:
        yield line, value
        return
    array = re.compile(rf'"{re.escape(path[-1])}"\s*:\s*(?=\[)')
    for found in array.finditer(text, place.start, place.stop):
        if _DECODER.raw_decode(text, found.end())[0] == papers:
            break
    else:
        yield from ((line, paper) for paper in papers)
        return
    line_of_array = line + text.count("\n", place.start, found.end())
    yield from (each[:2] for each in read_array(text, found.end(), line_of_array, is_part=True))
    total = _total(value)
    if total > len(papers):
        problem = f"this is one page of an answer, with {len(papers):,} of {total:,} papers"
        yield line, Notice(problem)


def _path_of_papers(value: Mapping[str, Any]) -> list[str]:
    """Return the keys that lead to the papers of an answer; or [] if it is a paper itself."""
    if not _has_title(value):
        return _find_array(value, _DEPTH)
    path = _find_array({key: value[key] for key in _RESULTS if key in value}, 1)
    own = paper_of(value) if path else None
    return [] if isinstance(own, Paper) and (own.abstract or own.identifiers) else path


def _find_array(value: Mapping[str, Any], depth: int) -> list[str]:
    """Return the keys that lead to the first array in which most objects have a title; or []."""
    for key, inner in value.items():
        if isinstance(inner, list) and inner and all(isinstance(each, dict) for each in inner):
            if 2 * sum(map(_has_title, inner)) > len(inner) or any(map(_has_title, inner[:1])):
                return [key]
        elif isinstance(inner, dict) and depth > 1 and (path := _find_array(inner, depth - 1)):
            return [key, *path]
    return []


def _has_title(value: Mapping[str, Any]) -> bool:
    return has_column("title", list(fields_of(value)), {})


def _total(value: Mapping[str, Any]) -> int:
    for holder in (value, *(value.get(key) for key in ("meta", "message"))):
        for key in ("count", "total-results", "total"):
            if isinstance(holder, dict) and isinstance(holder.get(key), int):
                return int(holder[key])
    return 0


def fields_of(value: Mapping[str, Any], depth: int = _DEPTH) -> Mapping[str, Any]:
    """Return the fields of a paper; those that an API nests are added under the usual names."""
    for key in _WRAPPERS:
        inner = value.get(key)
        if isinstance(inner, dict) and depth and not has_column("title", list(value), {}):
            # OpenReview writes {"title": {"value": "A"}}.
            plain = {k: v.get("value", v) if isinstance(v, dict) else v for k, v in inner.items()}
            fields = fields_of(plain, depth - 1)
            if has_column("title", list(fields), {}):
                return fields
    added: dict[str, Any] = {}
    index = value.get("abstract_inverted_index")
    if not value.get("abstract") and index:
        added["abstract"] = _text_of_index(index)
    if not value.get("title") and value.get("display_name"):
        added["title"] = value["display_name"]
    titles = [each for key in ("title", "subtitle") if isinstance(each := value.get(key), list)]
    if len(titles) == 2 and all(titles):
        # Crossref has lists; some publishers repeat the subtitle in the title.
        title, subtitle = (" ".join(map(str, each)) for each in titles)
        if subtitle.casefold() not in title.casefold():
            added["title"] = f"{title}: {subtitle}"
    for key, field in (("title_s", "title"), ("abstract_s", "abstract"), ("doiId_s", "doi")):
        # HAL has a text for each language.
        if not value.get(field) and (texts := value.get(key)):
            added[field] = texts[0] if isinstance(texts, list) else texts
    content = value.get("content_text") or value.get("content_html")
    if not value.get("summary") and content:
        added["summary"] = content
    for key in ("published", "issued"):
        if isinstance(value.get(key), dict) and isinstance(value[key].get("date-parts"), list):
            # Crossref writes [[2026, 11, 3]].
            added[key] = "-".join(re.findall(r"\d+", str(value[key]["date-parts"])))
    for key, (inner_key, field) in _LISTS.items():
        texts = [each.get(inner_key) for each in _objects_of(value.get(key))]
        if not value.get(field) and not added.get(field) and texts:
            added[field] = texts[0]
    nested = [value[key] for key in _IDENTIFIERS if isinstance(value.get(key), dict)]
    names = [f"{kind}:{name}" for each in nested for kind, name in each.items() if name]
    names += (
        f"{each.get('type')}:{each.get('id')}" for each in _objects_of(value.get("identifier"))
    )
    extra = value.get("extra")
    if isinstance(extra, str):
        for kind in ("doi", "arxiv", "pmid"):
            names += ("".join(each.split()) for each in mentions(kind, extra))
    if names and not isinstance(value.get("identifiers"), list | str):
        added["identifiers"] = " ".join(names)
    return {**value, **added} if added else value


def _objects_of(values: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list; of DataCite's descriptions those that are abstracts."""
    return [
        each
        for each in (values if isinstance(values, list) else ())
        if isinstance(each, dict) and each.get("descriptionType", "Abstract") == "Abstract"
    ]


def _text_of_index(index: Any) -> Any:
    """Return the text of an inverted index: words with the list of their positions."""
    try:
        words = [(place, word) for word, places in index.items() for place in places]
        return " ".join(word for _, word in sorted(words))
    except (AttributeError, TypeError):
        return index


def _sequence(text: str, line: int) -> Iterator[tuple[range, int, Any]]:
    """Yield place, line and value of each value of a text that starts in line ``line``.

    After an invalid value, reading goes on with the next line that begins with an object.
    """
    offset, line = _skip_space(text, 0, 0, line)
    while offset < len(text):
        try:
            value, end = _decode(text, offset, line)
        except TaggerError as error:
            value, end = error, text.find("\n{", offset) + 1 or len(text)
        yield range(offset, end), line, value
        offset, line = _skip_space(text, offset, end, line)


def read_array(
    text: str, start: int, line: int, *, is_part: bool = False
) -> Iterator[tuple[int, Any, int]]:
    """Yield line, value and offset of each value of the array at ``start`` in line ``line``.

    An invalid value is an error, and reading goes on with the next object. Text may follow the
    array if ``is_part``.
    """
    start, line = _skip_space(text, start, start, line)
    offset, line = _skip_space(text, start, start + 1, line)
    is_first = True
    while offset < len(text) and text[offset] != "]":
        try:
            if not is_first:
                if text[offset] != ",":
                    raise TaggerError("is not valid JSON (a comma is missing)", line=line)
                offset, line = _skip_space(text, offset, offset + 1, line)
            value, end = _decode(text, offset, line)
        except TaggerError as error:
            yield line, error, offset
            found = _NEXT_OBJECT.search(text, offset)
            if isinstance(error, _CutError) or not found:
                return
            value, end, is_first = None, found.end(), True
        else:
            yield line, value, offset
            is_first = False
        offset, line = _skip_space(text, offset, end, line)
    if offset == len(text):
        problem = "the array is not closed; the file may be incomplete"
        yield line, TaggerError(problem, line=line), offset
        return
    offset, line = _skip_space(text, offset, offset + 1, line)
    if offset < len(text) and not is_part:
        problem = "unexpected text after the end of the array"
        yield line, TaggerError(problem, line=line), offset


def _decode(text: str, offset: int, line: int) -> tuple[Any, int]:
    """Return the value at an offset in line ``line``, and the offset of its end."""
    try:
        return _DECODER.raw_decode(text, offset)
    except json.JSONDecodeError as error:
        kind, line = TaggerError, line + text.count("\n", offset, error.pos)
        if error.msg.startswith("Unterminated") or error.pos >= len(text) - _LONGEST_WORD:
            kind = _CutError
        raise kind(f"is not valid JSON ({error.msg})", line=line) from error
    except (ValueError, RecursionError) as error:
        raise TaggerError(f"cannot be read as JSON ({error})", line=line) from error


def _skip_space(text: str, start: int, end: int, line: int) -> tuple[int, int]:
    """Skip white space from ``end`` on; return the new offset and its line (that of ``start``)."""
    match = _SPACE.match(text, end)
    offset = match.end() if match else end
    return offset, line + text.count("\n", start, offset)
