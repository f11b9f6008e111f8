"""The base class of recipes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from tagger._util.progress import StepProgress
from tagger.errors import TaggerError
from tagger.model import Head, Linear
from tagger.taxonomy import Facet, Taxonomy
from tagger.training.heads import HeadInputs
from tagger.training.settings import FineTuning, TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer


class Recipe(ABC):
    """A way to fine-tune an encoder and to fit heads on its vectors and on the words of papers.

    The encoder is exported to ONNX and heads are arrays, so that every model is served without
    PyTorch. Training ends with an error that says so if the encoder cannot be exported.
    """

    epochs: int = 0
    """Default number of passes over the texts. With 0 the pretrained encoder is used."""

    def prepare(self, settings: TrainingSettings, taxonomy: Taxonomy) -> None:
        """Get ready for a training; raise a TaggerError if it cannot follow the settings."""
        if settings.epochs and not self.epochs:
            raise TaggerError(
                f"the recipe '{settings.recipe}' does not fine-tune the encoder: it has no epochs",
                hint="Omit --epochs, or choose another --recipe",
            )

    def fine_tune(
        self, examples: Dataset, settings: FineTuning, progress: StepProgress | None = None
    ) -> SentenceTransformer:
        """Return an encoder fine-tuned on texts with tags; called only with epochs.

        ``examples`` are those of :func:`tagger.training.data.examples_of`. ``progress`` is called
        with the training steps done and their total.
        """
        raise NotImplementedError

    @abstractmethod
    def fit_head(self, given: HeadInputs) -> Head:
        """Fit the head of a facet.

        It has one score per tag from the vectors and one from the words, which are added.
        """


def no_scores(facet: Facet, features: Any) -> Linear:
    """Return a classifier of a facet that gives each tag the score 0."""
    return Linear(np.zeros((len(facet.tags), features.shape[1])), np.zeros(len(facet.tags)))
