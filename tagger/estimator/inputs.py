"""Turn the arguments of the estimator into papers, labels and a taxonomy."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from tagger._util.validation import first_problem
from tagger.errors import ArgumentError, TaggerError
from tagger.labels import Label, LabelStore, merge_labels
from tagger.papers import Paper
from tagger.papers.readers.columns import Columns
from tagger.papers.readers.source import Source
from tagger.taxonomy import TAXONOMY_FILE, Facet, Tag, Taxonomy, check_names, load_taxonomy

Answer = dict[str, tuple[str, ...]]
"""The tags of one paper per facet; a facet that is missing was not annotated."""

ONLY_FACET = "tag"
"""Name of a facet that nobody gave a name."""

_FRAME = Source("", Path("X"))
_FORMS = (
    "Give papers, texts, pairs of title and abstract, or a data frame with a column 'title' and "
    "one 'abstract'"
)


def read_labels(folder: str | Path) -> tuple[list[Paper], list[Answer]]:
    """Read the papers of a label folder and their tags, as :meth:`tagger.Tagger.fit` takes them.

    Raises
    ------
    TaggerError
        With file and line, if the folder or a label is not valid.
    """
    labels = LabelStore(folder).labels()
    return [label.paper for label in labels], [dict(label.tags) for label in labels]


def papers_of(X: Any) -> list[Paper]:  # noqa: N803
    """Return the papers, given as for :class:`tagger.Tagger`; an ArgumentError names the row."""
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return _papers_of_frame(X)
    if not _is_list(X, Iterable):
        raise ArgumentError(f"X is a {type(X).__name__}, not a list of papers", hint=_FORMS)
    return [_paper_of(entry, row) for row, entry in enumerate(X)]


def _is_list(value: Any, kind: Any) -> bool:
    """Tell whether a value has rows in order; an array without dimensions has none."""
    if isinstance(value, str | bytes | Mapping | set | frozenset):
        return False
    return isinstance(value, kind) and not (isinstance(value, np.ndarray) and value.ndim == 0)


def _papers_of_frame(frame: Any) -> list[Paper]:
    try:
        columns = Columns.find(list(frame.columns), _FRAME)
    except TaggerError as error:
        raise ArgumentError(
            f"X: {error.problem}", hint="Rename it: X.rename(columns={'NAME': 'title'})"
        ) from error
    papers = []
    known = frame.astype(object).where(frame.notna(), None)
    for row, cells in enumerate(known.itertuples(index=False, name=None)):
        paper = columns.paper(cells, _FRAME, row)
        if isinstance(paper, TaggerError):
            field = paper.field and f", '{paper.field}'"
            raise ArgumentError(f"X, row {row}{field or ''}: {paper.problem}")
        papers.append(replace(paper, sources=()))
    return papers


def _paper_of(entry: Any, row: int) -> Paper:
    if isinstance(entry, Paper):
        return entry
    parts = entry.split("\n", 1) if isinstance(entry, str) else entry
    known = isinstance(parts, list | tuple | np.ndarray) and len(parts) <= 2
    if not known or not all(isinstance(part, str) for part in parts):
        shown = type(entry).__name__
        raise ArgumentError(f"X, row {row}: a {shown} is no paper and no text", hint=_FORMS)
    title, abstract = (" ".join(part.split()) for part in [*parts, "", ""][:2])
    if not title:
        raise ArgumentError(f"X, row {row}: there is no title here")
    return Paper(title, abstract)


def answers_of(y: Any, papers: int, taxonomy: Taxonomy | None = None) -> list[Answer]:
    """Return the tags of each paper, given as for :meth:`tagger.Tagger.fit`; or ArgumentError."""
    columns = _columns_of(y, taxonomy)
    answers: list[Answer] = [{} for _ in range(papers)]
    for name, cells in columns.items():
        if len(cells) != papers:
            raise ArgumentError(
                f"y has {len(cells)} rows for the facet '{name}', and X has {papers}"
            )
        for row, cell in enumerate(cells):
            tags = _tags_of(cell, row)
            if tags is not None:
                answers[row][name] = tags
    for row, answer in enumerate(answers):
        try:
            if taxonomy:
                taxonomy.check_tags(answer)
        except TaggerError as error:
            raise ArgumentError(
                f"y, row {row}: {error.problem}", field=error.field, hint=error.hint
            ) from error
    return answers


def _columns_of(y: Any, taxonomy: Taxonomy | None) -> dict[str, Sequence[Any]]:
    """Return the cells of each facet."""
    if hasattr(y, "iloc") and hasattr(y, "columns"):
        return {str(name): _cells(y[name]) for name in y.columns}
    if isinstance(y, Mapping):
        return {str(name): _cells(cells) for name, cells in y.items()}
    if not _is_list(y, Collection):
        raise ArgumentError(f"y is a {type(y).__name__}, not a list of tags")
    cells = _cells(y)
    if cells and all(isinstance(cell, Mapping) for cell in cells):
        names = dict.fromkeys(str(name) for cell in cells for name in cell)
        return {name: [cell.get(name) for cell in cells] for name in names}
    return {_only_facet(y, taxonomy): cells}


def _cells(column: Any) -> list[Any]:
    """Return the values of a list or series, None for each that is missing."""
    if hasattr(column, "iloc"):
        column = column.astype(object).where(column.notna(), None)
    return list(column)


def _only_facet(y: Any, taxonomy: Taxonomy | None) -> str:
    """Return the facet that a list of tags is of."""
    named = getattr(y, "name", None)
    if taxonomy is None:
        return named if isinstance(named, str) else ONLY_FACET
    names = [facet.name for facet in taxonomy.facets]
    if named in names:
        return str(named)
    if len(names) > 1:
        raise ArgumentError(
            "y does not say which facet it speaks of",
            hint=f"Give a dictionary, such as {{'{names[0]}': y}}; facets: {', '.join(names)}",
        )
    return names[0]


def _tags_of(cell: Any, row: int) -> tuple[str, ...] | None:
    if isinstance(cell, str):
        return (str(cell),)
    # Data frames write a missing value as NaN.
    if cell is None or (isinstance(cell, float) and cell != cell):
        return None
    if isinstance(cell, Collection) and all(isinstance(tag, str) for tag in cell):
        return tuple(sorted(cell) if isinstance(cell, set | frozenset) else map(str, cell))
    raise ArgumentError(
        f"y, row {row}: {cell!r} is no tag",
        hint="A tag is a name, such as 'survey', and several tags are a list of names",
    )


def taxonomy_of(given: Any, y: Any, papers: int) -> Taxonomy:
    """Return the taxonomy that is given, without the facets that ``y`` does not speak of.

    It is given as for :meth:`tagger.Tagger.fit`. Without one, tags are those of ``y`` in
    alphabetical order, defined by their names, and a facet is exclusive if ``y`` has no list in it.
    """
    if given is None:
        return _taxonomy_of_tags(y, papers)
    taxonomy = _load(given)
    spoken = {name for answer in answers_of(y, papers, taxonomy) for name in answer}
    facets = tuple(facet for facet in taxonomy.facets if facet.name in spoken)
    if len(facets) in (0, len(taxonomy.facets)):
        return taxonomy
    return Taxonomy(name=taxonomy.name, facets=facets)


def _load(given: Any) -> Taxonomy:
    if isinstance(given, Taxonomy):
        return given
    if isinstance(given, str | Path):
        path = Path(given)
        return load_taxonomy(path / TAXONOMY_FILE if path.is_dir() else path)
    try:
        taxonomy = Taxonomy.model_validate(given)
    except ValidationError as error:
        invalid = first_problem(error)
        raise ArgumentError(
            f"is no taxonomy: {invalid.problem}", field=invalid.field, hint=invalid.hint
        ) from error
    check_names(taxonomy)
    return taxonomy


def _taxonomy_of_tags(y: Any, papers: int) -> Taxonomy:
    answers = answers_of(y, papers)
    lists = {
        name
        for name, cells in _columns_of(y, None).items()
        if any(isinstance(cell, Collection) and not isinstance(cell, str) for cell in cells)
    }
    facets = []
    for name in dict.fromkeys(name for answer in answers for name in answer):
        tags = sorted({tag for answer in answers for tag in answer.get(name, ())})
        if name not in lists and len(tags) < 2:
            raise ArgumentError(
                f"y has {len(tags)} class in the facet '{name}', two at least are needed to "
                "choose from"
            )
        try:
            facets.append(
                Facet(
                    name=name,
                    definition=f"Which {name} it is.",
                    exclusive=name not in lists,
                    tags=tuple(
                        Tag(name=tag, definition=re.sub("[-_]", " ", tag).strip()) for tag in tags
                    ),
                )
            )
        except ValidationError as error:
            shown = first_problem(error).value
            raise ArgumentError(
                f"{shown!r} cannot be the name of a facet or tag",
                hint="A name is lower-case letters, digits, '-' and '_', at most 50 of them; "
                "'Method paper' could be 'method-paper'",
            ) from error
    if not facets:
        raise ArgumentError("y has no tags")
    return Taxonomy(name="from-python", facets=tuple(facets))


def labels_of(papers: Sequence[Paper], answers: Sequence[Answer]) -> list[Label]:
    """Return one label a paper: of several rows the last one, none of rows without an answer."""
    now = datetime.now(UTC)
    return merge_labels(
        Label(
            id=paper.id,
            title=paper.title,
            text=paper.abstract,
            tags=answer,
            annotator="Tagger.fit",
            time=now,
            source="seed",
        )
        for paper, answer in zip(papers, answers, strict=True)
        if answer
    )
