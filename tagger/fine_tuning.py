"""What an encoder is to learn, and how: needs no PyTorch, which takes seconds to import."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ContrastiveTarget:
    """The tags of labelled papers in one facet, which say how alike they are.

    Parameters
    ----------
    memberships:
        Shape (papers, tags).
    judged:
        Shape (papers,).
    weight:
        Share of this facet in the loss.
    """

    memberships: npt.NDArray[np.bool_]
    judged: npt.NDArray[np.bool_]
    weight: float

    def similarity(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Return how alike some of the papers are, shape (rows, rows), see :func:`tag_overlap`.

        That of all papers would take the square of their number.
        """
        return tag_overlap(self.memberships[rows], self.judged[rows])


def tag_overlap(
    memberships: npt.NDArray[np.bool_], judged: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Return the Jaccard index of the tag sets of every two papers, shape (papers, papers).

    For one tag a paper this is 1 for the same tag and 0 otherwise. Two papers without any tag are
    alike. Papers that were not judged are like none.

    Parameters
    ----------
    memberships:
        Shape (papers, tags).
    judged:
        Shape (papers,).
    """
    members = memberships.astype(np.float32)
    shared = members @ members.T
    sizes = members.sum(axis=1)
    union = sizes[:, None] + sizes[None, :] - shared
    overlap = np.where(union > 0, shared / np.maximum(union, 1), 1)
    return np.asarray(overlap * np.outer(judged, judged), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class FineTuning:
    """Settings of contrastive fine-tuning.

    ``max_tokens`` is the length at which the encoder is trained and used, ``learning_rate`` that of
    an encoder of 384 dimensions, see :func:`tagger.contrastive.rate_for`.
    """

    encoder: str
    max_tokens: int
    epochs: int
    batch_size: int
    learning_rate: float
    temperature: float
    projection_dimensions: int
    seed: int
