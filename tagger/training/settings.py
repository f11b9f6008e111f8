"""Settings and targets of contrastive fine-tuning; PyTorch is not imported, which takes seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagger.model import DEFAULT_MAX_TOKENS
from tagger.training.pretrained import BUNDLED_ENCODER


@dataclass(frozen=True, slots=True)
class ContrastiveTarget:
    """The tags of texts in one facet, which say how similar they are.

    ``memberships`` has shape (texts, tags), ``annotated`` (texts,); ``weight`` is the share of the
    facet in the loss.
    """

    memberships: npt.NDArray[np.bool_]
    annotated: npt.NDArray[np.bool_]
    weight: float

    def similarity(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Return the Jaccard index of the tag sets of every two of some texts, shape (rows, rows).

        For one tag a text this is 1 for the same tag and 0 otherwise. It is 1 between texts without
        any tag, and 0 for texts that were not judged.
        """
        members = self.memberships[rows].astype(np.float32)
        annotated = self.annotated[rows]
        shared = members @ members.T
        sizes = members.sum(axis=1)
        union = sizes[:, None] + sizes[None, :] - shared
        overlap = np.where(union > 0, shared / np.maximum(union, 1), 1)
        return np.asarray(overlap * np.outer(annotated, annotated), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """Settings of contrastive fine-tuning.

    Parameters
    ----------
    encoder:
        ``"bundled-minilm"``, a folder or the name of a sentence-transformers model.
    max_tokens:
        Length at which texts are cut, in training as in tagging.
    epochs:
        Passes over the texts; with 0 the pretrained encoder is used.
    learning_rate:
        Of an encoder of 384 dimensions; less for a wider one.
    temperature:
        Divides the cosines in the loss.
    """

    encoder: str = BUNDLED_ENCODER
    max_tokens: int = DEFAULT_MAX_TOKENS
    epochs: int = 6
    batch_size: int = 32
    learning_rate: float = 1.5e-4
    temperature: float = 0.1
    projection_dimensions: int = 128
    seed: int = 0
