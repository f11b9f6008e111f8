"""Convert between the values of ``y``, which may be anything hashable, and tag names."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.taxonomy import Taxonomy

Names = dict[str, dict[Hashable, str]]
"""Tag names by facet and value of ``y``."""
Values = npt.NDArray[Any]


def names_in(taxonomy: Taxonomy) -> Names:
    """Return the tags of a taxonomy by their own names."""
    return {facet.name: {tag: tag for tag in facet.tag_names} for facet in taxonomy.facets}


def inverse(names: Mapping[str, Mapping[Any, Any]]) -> dict[str, dict[Any, Any]]:
    """Return the values by tag for tags by value, or the reverse, of each facet."""
    return {facet: {tag: value for value, tag in tags.items()} for facet, tags in names.items()}


def in_order(values: Iterable[Any]) -> list[Any]:
    """Sort values; those of types that cannot be compared, by type and as text."""
    values = list(values)
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=lambda value: (type(value).__name__, str(value)))


def names_of(values: Iterable[Hashable]) -> dict[Hashable, str]:
    """Return a unique tag name for each value, made from its text.

    A value whose text can be a name gets it, so that the name never means another value.
    """
    values = list(values)
    names: dict[Hashable, str] = {}

    def made(value: Hashable) -> str:
        return re.sub(r"[^a-z0-9_-]+", "-", str(value).lower()).strip("-_")[:40] or "tag"

    for value in sorted(values, key=lambda value: str(value) != made(value)):
        text, number = made(value), 1
        while (name := text if number == 1 else f"{text}-{number}") in names.values():
            number += 1
        names[value] = name
    return {value: names[value] for value in values}


def array_of(values: Sequence[Any], classes: Sequence[Any]) -> Values:
    """Return values in an array of the type of the classes, or of objects if that changes one."""
    found = np.array(classes)
    if found.shape != (len(classes),) or found.tolist() != [*classes]:
        found = np.empty(0, dtype=object)
    array = np.empty(len(values), dtype=found.dtype)
    array[:] = values
    return array
