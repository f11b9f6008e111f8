"""What is looked at before the files of a saved model are used: they may come from anybody.

A model is data. Nothing here or in :mod:`tagger.model` executes anything of it; these checks refuse
what its libraries could be led astray with, and say why.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagger.encoder import sha256_of
from tagger.errors import TaggerError

MOST_BYTES = {".json": 256 * 2**20, ".safetensors": 2**30, ".onnx": 2**32}
"""Per kind of file; the encoder of the first model has 91 MB."""
MOST_DIMENSIONS = 16_384
# The key of an entry that names a file beside the graph, wherever in it: protobuf writes field 1,
# its length, the text; numbers may be padded with 0x80 (https://protobuf.dev, "Encoding").
_EXTERNAL_DATA = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")
_ORT_FORMAT = b"ORTM"

Shape = tuple[int | None, ...]
"""Of an array; None stands for any number up to :data:`MOST_DIMENSIONS`."""


def check_folder(folder: Path, names: Collection[str]) -> None:
    """Check that a folder holds just these files: no other, no link, none beyond measure.

    Raises
    ------
    TaggerError
        With the file, if not.
    """
    try:
        found = {path.name: path for path in folder.iterdir()}
    except OSError as error:
        raise TaggerError(f"cannot be read ({error.strerror or error})", path=folder) from error
    for name in sorted(found.keys() - set(names)):
        raise TaggerError(
            "is no part of a saved model",
            path=found[name],
            hint="A model is data in files of known names; if you trust the rest of it, take this "
            "out of the folder",
        )
    for name in names:
        path = found.get(name)
        if path is None:
            raise TaggerError("the model lacks this file", path=folder / name)
        if path.is_symlink() or not path.is_file():
            raise TaggerError("is a link or a folder, where a file of the model must be", path=path)
        size, most = path.stat().st_size, MOST_BYTES[path.suffix]
        if size > most:
            raise TaggerError(
                f"has {size / 2**20:,.0f} MB, more than the {most / 2**20:,.0f} of any model",
                path=path,
            )


def check_hash(path: Path, expected: str | None) -> None:
    """Check that a file is the one that the manifest speaks of.

    Raises
    ------
    TaggerError
        If it is not.
    """
    if sha256_of(path) != expected:
        raise TaggerError("does not match the hash in model.json", path=path)


def check_graph(path: Path) -> None:
    """Check that an ONNX file holds all of its weights itself, in ONNX's own format.

    Operators that ONNX Runtime does not know need a library of their own, which is never loaded:
    it refuses such a graph.

    Raises
    ------
    TaggerError
        If it names a file beside it, or is of another format.
    """
    if path.stat().st_size == 0:
        raise TaggerError("is empty", path=path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[4:8] == _ORT_FORMAT:
            raise TaggerError("is in ONNX Runtime's own format, not in ONNX", path=path)
        if _EXTERNAL_DATA.search(content):
            raise TaggerError(
                "names another file to take weights from, which a saved model never does",
                path=path,
            )


def load_arrays(path: Path, shapes: Mapping[str, Shape]) -> dict[str, npt.NDArray[np.float64]]:
    """Load arrays of real numbers from a safetensors file that holds just these.

    Parameters
    ----------
    path:
        The file.
    shapes:
        Per name, the shape of the array.

    Raises
    ------
    TaggerError
        If the file cannot be read, an array is missing or too many, has another shape or kind, or
        holds something that is no number.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            for name in sorted(names ^ shapes.keys()):
                what = "lacks" if name in shapes else "holds, and no model does,"
                raise TaggerError(f"{what} the array '{name}'", path=path)
            # Told by its header: nothing is read before all of it fits.
            for name, wanted in shapes.items():
                part = file.get_slice(name)
                if part.get_dtype() not in ("F64", "F32") or not _fits(part.get_shape(), wanted):
                    raise TaggerError(
                        f"the array '{name}' does not fit the rest of the model: it has the shape "
                        f"{tuple(part.get_shape())} and the kind {part.get_dtype()}",
                        path=path,
                    )
            arrays = {name: np.asarray(file.get_tensor(name), dtype=np.float64) for name in shapes}
    except (OSError, SafetensorError) as error:
        raise TaggerError("cannot be read", path=path) from error
    for name, values in arrays.items():
        check_finite(values, name, path)
    return arrays


def check_finite(values: npt.NDArray[np.number], name: str, path: Path) -> None:
    """Check that an array holds numbers: with infinity or none, every answer would be nonsense.

    Raises
    ------
    TaggerError
        If it does not.
    """
    if not np.isfinite(values).all():
        raise TaggerError(f"the array '{name}' holds what is no number (NaN, infinity)", path=path)


def _fits(shape: Collection[int], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        size == target if target is not None else 0 < size <= MOST_DIMENSIONS
        for size, target in zip(shape, wanted, strict=True)
    )
