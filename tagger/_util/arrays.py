"""Array types shared by the packages, and normalisation of vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int_]
Vectors = npt.NDArray[np.float32]
"""Embeddings of texts, shape (texts, dimensions)."""


def unit(vectors: Vectors) -> Vectors:
    """Scale each vector to length 1, shape (texts, dimensions); a zero vector stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
