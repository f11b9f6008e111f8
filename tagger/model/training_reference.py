"""The labelled papers that are stored in a model, to compare new papers with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger._util.arrays import Booleans, Floats, Integers, Vectors
from tagger.errors import TaggerError
from tagger.model.integrity import Shape, load_arrays
from tagger.taxonomy import Taxonomy

_Array = npt.NDArray[Any]
_COSINES_AT_ONCE = 2**24
_MAX_PAPERS = 2000
"""Maximum number of stored papers; more would add little information and make models large."""


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold predictions of labelled papers.

    ``similarity`` is the cosine similarity of each paper to the nearest training paper of its fold,
    shape (papers,); ``probabilities`` are calibrated, per facet, shape (papers, tags).
    """

    similarity: Floats
    probabilities: dict[str, Floats]

    def take(self, indices: Integers) -> OutOfFold:
        """Return the predictions of some of the papers."""
        chosen = {name: values[indices] for name, values in self.probabilities.items()}
        return OutOfFold(self.similarity[indices], chosen)


@dataclass(frozen=True)
class Reference:
    """The labelled papers of a model.

    ``vectors`` have shape (papers, dimensions). Per facet, ``y_true`` is the mask of the labelled
    tags, shape (papers, tags), and ``annotated`` that of the labelled papers, shape (papers,).
    ``out_of_fold`` is by effort; ``similarity`` and ``probabilities`` are those of ``effort``.
    ``audit_ids`` are the ids of the papers of the audit sample.
    """

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    vectors: Vectors
    y_true: dict[str, Booleans]
    annotated: dict[str, Booleans]
    out_of_fold: Mapping[str, OutOfFold]
    audit_ids: frozenset[str] = frozenset()
    effort: str = "full"

    @property
    def audited(self) -> Booleans:
        """Mask of the papers of the audit sample, shape (papers,)."""
        return np.array([name in self.audit_ids for name in self.ids], dtype=bool)

    @property
    def similarity(self) -> Floats:
        """Out-of-fold similarity to the training set, shape (papers,)."""
        return self.out_of_fold[self.effort].similarity

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Per facet, out-of-fold probabilities, shape (papers, tags)."""
        return self.out_of_fold[self.effort].probabilities

    def similarity_of(self, vectors: Vectors) -> Floats:
        """Return the cosine similarity of each paper to the nearest labelled one, shape (papers,).

        ``vectors`` have shape (papers, dimensions) and unit length.
        """
        return similarity(vectors, self.vectors)

    def sample(self) -> Reference:
        """Return a reference of at most 2000 papers: the audit sample, and others evenly spaced."""
        audited, others = np.flatnonzero(self.audited), np.flatnonzero(~self.audited)
        room = min(len(others), max(_MAX_PAPERS - len(audited), 0))
        spaced = others[np.linspace(0, max(len(others) - 1, 0), room).astype(int)]
        return self.take(np.sort(np.concatenate([audited[:_MAX_PAPERS], spaced])))

    def take(self, indices: Integers) -> Reference:
        """Return a reference of some of the papers."""
        return Reference(
            tuple(self.ids[index] for index in indices),
            tuple(self.titles[index] for index in indices),
            self.vectors[indices],
            {name: values[indices] for name, values in self.y_true.items()},
            {name: values[indices] for name, values in self.annotated.items()},
            {effort: found.take(indices) for effort, found in self.out_of_fold.items()},
            self.audit_ids,
        )

    def followed_by(self, other: Reference) -> Reference:
        """Return the papers of both, which have the same facets and tags."""

        def joined(one: dict[str, _Array], two: dict[str, _Array]) -> dict[str, _Array]:
            return {name: np.concatenate([one[name], two[name]]) for name in one}

        return Reference(
            self.ids + other.ids,
            self.titles + other.titles,
            np.concatenate([self.vectors, other.vectors]),
            joined(self.y_true, other.y_true),
            joined(self.annotated, other.annotated),
            {
                effort: OutOfFold(
                    np.concatenate([found.similarity, other.out_of_fold[effort].similarity]),
                    joined(found.probabilities, other.out_of_fold[effort].probabilities),
                )
                for effort, found in self.out_of_fold.items()
            },
            self.audit_ids | other.audit_ids,
        )

    def save(self, path: Path) -> None:
        """Save the reference as one safetensors file, ids and titles in its header."""
        from safetensors.numpy import save

        arrays: dict[str, npt.NDArray[Any]] = {"vectors": self.vectors}
        for name, values in self.y_true.items():
            arrays[f"y_true.{name}"] = values
            arrays[f"annotated.{name}"] = self.annotated[name]
        for effort, found in self.out_of_fold.items():
            arrays[f"{effort}.similarity"] = found.similarity
            for name, probabilities in found.probabilities.items():
                arrays[f"{effort}.probabilities.{name}"] = probabilities
        arrays = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
        texts = {"ids": self.ids, "titles": self.titles, "audit": sorted(self.audit_ids)}
        header = {name: json.dumps(each) for name, each in texts.items()}
        path.write_bytes(_with_sorted_header(save(arrays, metadata=header)))

    @classmethod
    def load(
        cls, path: Path, taxonomy: Taxonomy, efforts: Sequence[str], dimensions: int
    ) -> Reference:
        """Load a reference; raise TaggerError if it does not fit the rest of the model."""
        shapes: dict[str, Shape] = {"vectors": ("papers", dimensions)}
        shapes |= {f"{effort}.similarity": ("papers",) for effort in efforts}
        for facet in taxonomy.facets:
            table: Shape = ("papers", len(facet.tags))
            shapes |= {f"y_true.{facet.name}": table, f"annotated.{facet.name}": ("papers",)}
            shapes |= {f"{effort}.probabilities.{facet.name}": table for effort in efforts}
        arrays, header = load_arrays(path, shapes)
        try:
            ids, titles, audit = (
                tuple(json.loads(header[key])) for key in ("ids", "titles", "audit")
            )
        except (ValueError, TypeError, KeyError) as error:
            raise TaggerError("lacks ids and titles in its header", path=path) from error
        if {len(ids), len(titles)} != {len(arrays["vectors"])} or not all(
            isinstance(text, str) for text in (*ids, *titles, *audit)
        ):
            raise TaggerError("the ids and titles in its header do not fit its arrays", path=path)

        def per_facet(prefix: str, kind: type) -> dict[str, npt.NDArray[Any]]:
            names = [facet.name for facet in taxonomy.facets]
            return {name: arrays[f"{prefix}.{name}"].astype(kind, copy=False) for name in names}

        out_of_fold = {
            effort: OutOfFold(
                arrays[f"{effort}.similarity"].astype(np.float64, copy=False),
                per_facet(f"{effort}.probabilities", np.float64),
            )
            for effort in efforts
        }
        vectors = arrays["vectors"].astype(np.float32, copy=False)
        annotated = per_facet("annotated", np.bool_)
        y_true = per_facet("y_true", np.bool_)
        return cls(ids, titles, vectors, y_true, annotated, out_of_fold, frozenset(audit))


def _with_sorted_header(content: bytes) -> bytes:
    """Sort the header of a safetensors file: the library writes metadata in any order.

    The file begins with the size of the header in 8 bytes, then the header, JSON that is padded
    with spaces to a multiple of 8 bytes.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]


def similarity(vectors: Vectors, known: Vectors) -> Floats:
    """Return the cosine similarity of each vector to the nearest known one, shape (vectors,).

    Both arrays have shape (vectors, dimensions) and rows of unit length.
    """
    # In parts, because all cosines at once might not fit into memory.
    rows = max(1, _COSINES_AT_ONCE // max(len(known), 1))
    nearest = [
        (vectors[start : start + rows] @ known.T).max(axis=1, initial=-1.0)
        for start in range(0, len(vectors), rows)
    ]
    return np.asarray(np.concatenate([np.zeros(0), *nearest]), dtype=np.float64)
