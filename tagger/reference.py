"""What a model remembers of its training, so that a digest can be set beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagger.encoder import Vectors
from tagger.heads import Floats

_MOST_PAPERS = 2000
"""More labelled papers than that tell little more, and would make the model heavy."""


@dataclass(frozen=True)
class Reference:
    """The labelled papers of a model, as it saw them and as it would have seen them unlabelled.

    Parameters
    ----------
    vectors:
        Of the papers that it was trained on, shape (papers, dimensions).
    familiarity:
        How near each of them was to the training papers of a fold that held it out, shape
        (papers,).
    probabilities:
        Per facet, what that fold said, shape (papers, tags).
    """

    vectors: Vectors
    familiarity: Floats
    probabilities: dict[str, Floats]

    def familiarity_of(self, vectors: Vectors) -> Floats:
        """Return how near papers are to the labelled ones, shape (papers,)."""
        return familiarity(vectors, self.vectors)

    def sample(self) -> Reference:
        """Return a reference of at most 2000 papers, evenly taken."""
        count = len(self.vectors)
        rows = np.unique(np.linspace(0, count - 1, min(count, _MOST_PAPERS)).astype(int))
        chances = {name: values[rows] for name, values in self.probabilities.items()}
        return Reference(self.vectors[rows], self.familiarity[rows], chances)

    def as_arrays(self) -> dict[str, npt.NDArray[np.floating]]:
        """Return the reference as named arrays, for a file."""
        chances = {f"probabilities.{name}": p for name, p in self.probabilities.items()}
        return {"vectors": self.vectors, "familiarity": self.familiarity, **chances}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.floating]]) -> Reference:
        """Put a reference together from the arrays of a file.

        Raises
        ------
        ValueError
            If an array is missing, or they do not fit one another.
        """
        chances = {
            name.removeprefix("probabilities."): np.asarray(values, dtype=np.float64)
            for name, values in arrays.items()
            if name.startswith("probabilities.")
        }
        try:
            vectors = np.asarray(arrays["vectors"], dtype=np.float32)
            found = cls(vectors, np.asarray(arrays["familiarity"], dtype=np.float64), chances)
        except KeyError as error:
            raise ValueError(f"no array {error}") from error
        lengths = {len(found.familiarity), *map(len, chances.values())}
        if vectors.ndim != 2 or lengths != {len(vectors)}:
            raise ValueError("arrays of different length")
        return found


def familiarity(vectors: Vectors, known: Vectors) -> Floats:
    """Return the cosine of each vector with the nearest known one, shape (papers,).

    Parameters
    ----------
    vectors, known:
        Of unit length, shape (papers, dimensions) each.
    """
    return np.asarray((vectors @ known.T).max(axis=1, initial=-1.0), dtype=np.float64)
