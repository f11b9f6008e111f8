"""What a model remembers of its training, so that a digest can be set beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagger.encoder import Vectors
from tagger.errors import TaggerError
from tagger.evaluation import Booleans
from tagger.heads import Floats
from tagger.taxonomy import Taxonomy

_COSINES_AT_ONCE = 2**24
_MOST_PAPERS = 2000
"""More labelled papers than that tell little more, and would make the model heavy."""

_PER_FACET = {"probabilities": np.float64, "truth": np.bool_, "judged": np.bool_}


@dataclass(frozen=True)
class Reference:
    """The labelled papers of a model, as it saw them and as it would have seen them unlabelled.

    Parameters
    ----------
    ids, titles:
        Of the papers that it was trained on.
    vectors:
        Of these papers, shape (papers, dimensions).
    familiarity:
        How near each of them was to the training papers of a fold that held it out, shape
        (papers,).
    probabilities:
        Per facet, what that fold said, calibrated by the other folds, shape (papers, tags); where
        nobody judged, by all folds.
    truth:
        Per facet, the tags that people gave, shape (papers, tags).
    judged:
        Per facet, whether anybody said, shape (papers,).
    """

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    vectors: Vectors
    familiarity: Floats
    probabilities: dict[str, Floats]
    truth: dict[str, Booleans]
    judged: dict[str, Booleans]

    def familiarity_of(self, vectors: Vectors) -> Floats:
        """Return how near papers are to the labelled ones, shape (papers,)."""
        return familiarity(vectors, self.vectors)

    def sample(self) -> Reference:
        """Return a reference of at most 2000 papers, evenly taken."""
        count = len(self.vectors)
        rows = np.unique(np.linspace(0, count - 1, min(count, _MOST_PAPERS)).astype(int))
        return Reference(
            tuple(self.ids[row] for row in rows),
            tuple(self.titles[row] for row in rows),
            self.vectors[rows],
            self.familiarity[rows],
            *(
                {name: values[rows] for name, values in each.items()}
                for each in (self.probabilities, self.truth, self.judged)
            ),
        )

    def save(self, path: Path) -> None:
        """Save the reference as one safetensors file, ids and titles in its header."""
        from safetensors.numpy import save_file

        arrays: dict[str, npt.NDArray[np.generic]] = {
            "vectors": self.vectors,
            "familiarity": self.familiarity,
        }
        for kind in _PER_FACET:
            for name, values in getattr(self, kind).items():
                arrays[f"{kind}.{name}"] = np.ascontiguousarray(values)
        header = {"ids": json.dumps(self.ids), "titles": json.dumps(self.titles)}
        save_file(arrays, path, metadata=header)

    @classmethod
    def load(cls, path: Path) -> Reference:
        """Load what :meth:`save` saved.

        Raises
        ------
        TaggerError
            If the file cannot be read, an array is missing, or they do not fit one another.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                header = file.metadata() or {}
                ids, titles = (tuple(json.loads(header[key])) for key in ("ids", "titles"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            per_facet = [
                {
                    name.removeprefix(f"{kind}."): values.astype(dtype, copy=False)
                    for name, values in arrays.items()
                    if name.startswith(f"{kind}.")
                }
                for kind, dtype in _PER_FACET.items()
            ]
            found = cls(ids, titles, arrays["vectors"], arrays["familiarity"], *per_facet)
        except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
            raise TaggerError("cannot be read", path=path) from error
        tables = [values for facets in per_facet for values in facets.values()]
        lengths = [found.vectors.shape[:1], found.familiarity.shape]
        lengths += [values.shape[:1] for values in tables] + [(len(ids),), (len(titles),)]
        if found.vectors.ndim != 2 or len(set(lengths)) != 1:
            raise TaggerError("its arrays do not fit one another", path=path)
        return found

    def fits(self, taxonomy: Taxonomy) -> bool:
        """Tell whether it speaks of the facets and tags of a taxonomy."""
        names = {facet.name for facet in taxonomy.facets}
        kinds = (self.probabilities, self.truth, self.judged)
        return all(set(kind) == names for kind in kinds) and all(
            self.probabilities[facet.name].shape[1:] == (len(facet.tags),)
            and self.truth[facet.name].shape[1:] == (len(facet.tags),)
            and self.judged[facet.name].ndim == 1
            for facet in taxonomy.facets
        )


def familiarity(vectors: Vectors, known: Vectors) -> Floats:
    """Return the cosine of each vector with the nearest known one, shape (papers,).

    Parameters
    ----------
    vectors, known:
        Of unit length, shape (papers, dimensions) each.
    """
    # In parts: all cosines at once of many with many would fill the memory.
    rows = max(1, _COSINES_AT_ONCE // max(len(known), 1))
    nearest = [
        (vectors[start : start + rows] @ known.T).max(axis=1, initial=-1.0)
        for start in range(0, len(vectors), rows)
    ]
    return np.asarray(np.concatenate([np.zeros(0), *nearest]), dtype=np.float64)
