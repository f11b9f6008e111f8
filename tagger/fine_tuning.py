"""What an encoder is to learn, and how: needs no PyTorch, which takes seconds to import."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class ContrastiveTarget:
    """How alike labelled papers are in one facet.

    Parameters
    ----------
    similarity:
        Shape (papers, papers), 0 to 1; all 0 in the row and column of a paper that was not
        judged.
    weight:
        Share of this facet in the loss.
    """

    similarity: npt.NDArray[np.float32]
    weight: float


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
