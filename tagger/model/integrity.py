"""Check the files of a saved model before use: a model may come from an untrusted source.

A model is data. Nothing here or in :mod:`tagger.model` executes any part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.errors import TaggerError
from tagger.model.encoder import sha256_of

_KINDS = ("F64", "F32", "BOOL")

Shape = tuple[int | str, ...]
"""Shape of an array. Sizes with the same name must be equal in all arrays of a file."""


def check_hash(path: Path, expected: str) -> None:
    """Raise TaggerError if a file is missing, cannot be read or does not have the expected hash."""
    try:
        found = sha256_of(path)
    except FileNotFoundError as error:
        raise TaggerError("this file of the model is missing", path=path) from error
    except OSError as error:
        raise TaggerError(f"cannot be read ({error.strerror or error})", path=path) from error
    if found != expected:
        raise TaggerError("does not match the hash in model.json", path=path)


def load_arrays(
    path: Path, shapes: Mapping[str, Shape]
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Load the arrays and the header of a safetensors file.

    Raises a TaggerError if the file cannot be read, has other arrays than ``shapes``, or an array
    has another shape, another type than float or bool, or a value that is not finite.
    """
    from safetensors import SafetensorError, safe_open

    sizes: dict[str, int] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            for name in sorted(names ^ shapes.keys()):
                problem = "lacks the" if name in shapes else "holds an unexpected"
                raise TaggerError(f"{problem} array '{name}'", path=path)
            # The header has shapes and types, so nothing is read before all of them fit.
            for name, wanted in shapes.items():
                part = file.get_slice(name)
                if part.get_dtype() not in _KINDS or not _fits(part.get_shape(), wanted, sizes):
                    raise TaggerError(
                        f"the array '{name}' does not fit the rest of the model: it has shape "
                        f"{tuple(part.get_shape())} and type {part.get_dtype()}",
                        path=path,
                    )
            arrays = {name: file.get_tensor(name) for name in shapes}
            header = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise TaggerError("cannot be read", path=path) from error
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise TaggerError(f"the array '{name}' holds NaN or infinity", path=path)
    return arrays, header


def _fits(shape: Sequence[int], wanted: Shape, sizes: dict[str, int]) -> bool:
    """Return whether a shape is as wanted; ``sizes`` collects the sizes of names."""
    return len(shape) == len(wanted) and all(
        size == (sizes.setdefault(target, size) if isinstance(target, str) else target)
        for size, target in zip(shape, wanted, strict=True)
    )
