"""Convert the arguments of the estimator to papers, labels and a taxonomy."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from tagger._util.validation import first_problem
from tagger.errors import ArgumentError, TaggerError
from tagger.estimator.values import Names, in_order, names_in, names_of
from tagger.labels import Label, LabelStore, merge_labels
from tagger.papers import Paper
from tagger.papers.readers.columns import Columns
from tagger.papers.readers.source import Source
from tagger.taxonomy import TAXONOMY_FILE, Facet, Tag, Taxonomy, check_names, load_taxonomy

Answer = dict[str, tuple[str, ...]]
"""The tags of one paper per facet; a missing facet was not annotated."""

_DEFAULT_FACET = "tag"
_FRAME = Source("", Path("X"))
_FORMS = (
    "Pass papers, texts, pairs of title and abstract, or a data frame with the columns 'title' and "
    "'abstract'"
)
_TAG_FORMS = (
    "Pass one tag per paper; or a list of tags per paper, as inverse_transform of a "
    "MultiLabelBinarizer returns; or, for several facets, a data frame or dictionary"
)


def read_labels(folder: str | Path) -> tuple[list[Paper], list[Answer]]:
    """Read the papers of a label folder and their tags, in the form of :meth:`tagger.Tagger.fit`.

    Raises a TaggerError if the folder or a label is invalid; it names file and line.
    """
    labels = LabelStore(folder).labels()
    return [label.paper for label in labels], [dict(label.tags) for label in labels]


def papers_of(X: Any) -> list[Paper]:  # noqa: N803
    """Convert ``X`` of :class:`tagger.Tagger` to papers; an ArgumentError names the wrong row."""
    X = _in_pandas(X)  # noqa: N806
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return _papers_of_frame(X)
    if not _is_list(X, Iterable):
        raise ArgumentError(f"X is of type {type(X).__name__}, not a list of papers", hint=_FORMS)
    return [_paper_of(entry, row) for row, entry in enumerate(X)]


def _in_pandas(table: Any) -> Any:
    """Convert a data frame of polars or Arrow to one of pandas; return anything else as it is."""
    is_table = hasattr(table, "columns") and hasattr(table, "to_pandas")
    return table.to_pandas() if is_table else table


def _is_list(value: Any, kind: Any) -> bool:
    """Return whether a value is an ordered collection; an array without dimensions is not."""
    if isinstance(value, str | bytes | Mapping | set | frozenset):
        return False
    return isinstance(value, kind) and not (isinstance(value, np.ndarray) and value.ndim == 0)


def _papers_of_frame(frame: Any) -> list[Paper]:
    try:
        columns = Columns.find(list(frame.columns), _FRAME)
    except TaggerError as error:
        raise ArgumentError(
            f"X: {error.problem}", hint="Rename a column: X.rename(columns={'NAME': 'title'})"
        ) from error
    papers = []
    without_nan = frame.astype(object).where(frame.notna(), None)
    for row, cells in enumerate(without_nan.itertuples(index=False, name=None)):
        paper = columns.paper(cells, _FRAME, row)
        if isinstance(paper, TaggerError):
            field = f", '{paper.field}'" if paper.field else ""
            raise ArgumentError(f"X, row {row}{field}: {paper.problem}")
        papers.append(replace(paper, sources=()))
    return papers


def _paper_of(entry: Any, row: int) -> Paper:
    if isinstance(entry, Paper):
        return entry
    if isinstance(entry, list | tuple | np.ndarray) and len(entry) == 1:
        entry = entry[0]  # a row of a matrix with one column
    texts = entry.split("\n", 1) if isinstance(entry, str) else entry
    is_pair = isinstance(texts, list | tuple | np.ndarray) and len(texts) <= 2
    if is_pair:  # as in a table, a missing text is empty
        texts = ["" if _is_missing(text) else text for text in texts]
    if not is_pair or not all(isinstance(text, str) for text in texts):
        kind = type(entry).__name__
        raise ArgumentError(f"X, row {row}: expected a paper or text, got {kind}", hint=_FORMS)
    title, abstract = (" ".join(text.split()) for text in [*texts, "", ""][:2])
    if not title:
        raise ArgumentError(f"X, row {row}: the title is missing")
    return Paper(title, abstract)


def answers_of(y: Any, papers: int, names: Names, taxonomy: Taxonomy | None = None) -> list[Answer]:
    """Convert ``y`` of :meth:`tagger.Tagger.fit` to the tags of each paper.

    A value without a name in ``names`` counts as a tag of this name. Raises an ArgumentError if the
    number of rows is not ``papers``, a cell is not a tag, or it does not fit the taxonomy.
    """
    answers: list[Answer] = [{} for _ in range(papers)]
    for facet, cells in _values_of(y, papers, list(names)).items():
        known = names.get(facet, {})
        for row, values in enumerate(cells):
            if values is not None:
                answers[row][facet] = tuple(known.get(value, str(value)) for value in values)
    for row, answer in enumerate(answers):
        try:
            if taxonomy:
                taxonomy.check_tags(answer)
        except TaggerError as error:
            raise ArgumentError(
                f"y, row {row}: {error.problem}", field=error.field, hint=error.hint
            ) from error
    return answers


def _values_of(
    y: Any, papers: int, facets: Sequence[str]
) -> dict[str, list[tuple[Hashable, ...] | None]]:
    found = {}
    for name, cells in _columns_of(y, facets).items():
        if len(cells) != papers:
            raise ArgumentError(
                f"y has {len(cells)} rows for the facet '{name}', but X has {papers}"
            )
        found[name] = [_values_in(cell, row) for row, cell in enumerate(cells)]
    return found


def _columns_of(y: Any, facets: Sequence[str]) -> dict[str, Sequence[Any]]:
    y = _in_pandas(y)
    if hasattr(y, "iloc") and hasattr(y, "columns"):
        return {str(name): _cells(y[name]) for name in y.columns}
    if isinstance(y, Mapping):
        return {str(name): _cells(cells) for name, cells in y.items()}
    if not _is_list(y, Collection):
        raise ArgumentError(f"y is a {type(y).__name__}, not a list of tags", hint=_TAG_FORMS)
    if getattr(y, "ndim", 1) == 2 and np.isin(y, (0, 1)).all() and np.shape(y)[1] > 1:
        raise ArgumentError(
            "y is a matrix of 0 and 1, which does not name the tags", hint=_TAG_FORMS
        )
    cells = _cells(y[:, 0] if getattr(y, "ndim", 1) == 2 and np.shape(y)[1] == 1 else y)
    answers = [{} if cell is None else cell for cell in cells]
    if all(isinstance(answer, Mapping) for answer in answers) and cells.count(None) < len(cells):
        names = dict.fromkeys(str(name) for answer in answers for name in answer)
        return {name: [answer.get(name) for answer in answers] for name in names}
    return {_only_facet(y, facets): cells}


def _cells(column: Any) -> list[Any]:
    if hasattr(column, "iloc"):
        column = column.astype(object).where(column.notna(), None)
    return list(column)


def _only_facet(y: Any, facets: Sequence[str]) -> str:
    """Return the facet of a plain list of tags; the name of a series can choose it."""
    series_name = getattr(y, "name", None)
    if not facets:
        named = isinstance(series_name, str)
        return names_of([series_name])[series_name] if named else _DEFAULT_FACET
    if series_name in facets:
        return str(series_name)
    if len(facets) > 1:
        raise ArgumentError(
            "y does not name the facet of its tags",
            hint=f"Pass a dictionary such as {{'{facets[0]}': y}}; facets: {', '.join(facets)}",
        )
    return facets[0]


def _values_in(cell: Any, row: int) -> tuple[Hashable, ...] | None:
    if _is_several(cell):
        values = in_order(cell) if isinstance(cell, set | frozenset) else list(cell)
    elif _is_missing(cell):
        return None
    else:
        values = [cell]
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    if not all(isinstance(value, Hashable) and not isinstance(value, tuple) for value in values):
        raise ArgumentError(
            f"y, row {row}: {cell!r} is not a tag",
            hint="Pass a tag, such as 'survey' or 1, or a list of tags",
        )
    return tuple(value for value in values if not _is_missing(value))


def _is_several(cell: Any) -> bool:
    """Return whether a cell is a collection of tags, not one tag."""
    return isinstance(cell, Collection) and not isinstance(cell, str | bytes | Mapping)


def _is_missing(value: Any) -> bool:
    """Return whether a value is None, or NaN or NA of a data frame."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA is neither equal to itself nor different
        return True


def taxonomy_of(definitions: Any, y: Any, papers: int) -> tuple[Taxonomy, Names]:
    """Convert ``taxonomy`` of :meth:`tagger.Tagger.fit`, without the facets that ``y`` lacks.

    If it is None, the values of ``y`` are the tags, in their order, defined by their names; a facet
    is exclusive if ``y`` has no list in it. Also returns the names of the tags by value. Raises an
    ArgumentError if the taxonomy or ``y`` is invalid.
    """
    if definitions is None:
        return _taxonomy_of_values(y, papers)
    taxonomy = _load(definitions)
    answers = answers_of(y, papers, names_in(taxonomy), taxonomy)
    annotated = {name for answer in answers for name in answer}
    facets = tuple(facet for facet in taxonomy.facets if facet.name in annotated)
    if len(facets) not in (0, len(taxonomy.facets)):
        taxonomy = Taxonomy(name=taxonomy.name, facets=facets)
    return taxonomy, names_in(taxonomy)


def _load(definitions: Any) -> Taxonomy:
    if isinstance(definitions, Taxonomy):
        return definitions
    if isinstance(definitions, str | Path):
        path = Path(definitions)
        return load_taxonomy(path / TAXONOMY_FILE if path.is_dir() else path)
    try:
        taxonomy = Taxonomy.model_validate(definitions)
    except ValidationError as error:
        invalid = first_problem(error)
        raise ArgumentError(
            f"invalid taxonomy: {invalid.problem}", field=invalid.field, hint=invalid.hint
        ) from error
    check_names(taxonomy)
    return taxonomy


def _taxonomy_of_values(y: Any, papers: int) -> tuple[Taxonomy, Names]:
    lists = {name for name, cells in _columns_of(y, ()).items() if any(map(_is_several, cells))}
    facets, names = [], {}
    for name, cells in _values_of(y, papers, ()).items():
        values = in_order({value for found in cells for value in found or ()})
        if all(found is None for found in cells):
            continue
        if name not in lists and len(values) < 2:
            raise ArgumentError(
                f"y has {len(values)} class in the facet '{name}', but at least 2 are needed"
            )
        names[name] = names_of(values)
        try:
            tags = [
                Tag(name=tag, definition=re.sub("[-_]", " ", str(value)).strip() or tag)
                for value, tag in names[name].items()
            ]
            facets.append(
                Facet(
                    name=name,
                    definition=f"The {name} of the paper.",
                    exclusive=name not in lists,
                    tags=tuple(tags),
                )
            )
        except ValidationError as error:
            shown = first_problem(error).value
            raise ArgumentError(
                f"{shown!r} cannot be the name of a facet or the definition of a tag",
                hint="A name has at most 50 lower-case letters, digits, '-' and '_', for example "
                "'method-paper'",
            ) from error
    if not facets:
        raise ArgumentError("y has no tags")
    return Taxonomy(name="from-python", facets=tuple(facets)), names


def labels_of(papers: Sequence[Paper], answers: Sequence[Answer]) -> list[Label]:
    """Return one label per paper: that of its last row, and none if no row was annotated."""
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
