"""SetFit with its own training on pairs of texts, and logistic regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tagger._util.progress import StepProgress
from tagger.training.data import TEXT
from tagger.training.recipes.frozen import Frozen
from tagger.training.settings import FineTuning

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer

BATCH_SIZE, LEARNING_RATE = 16, 2e-5
"""Defaults of SetFit."""
_ITERATIONS = 20
"""Pairs of each kind for each text, as in the paper. All pairs would take hours."""


class SetFit(Frozen):
    """SetFit's training on pairs; a pair is positive if its texts share a tag of any facet."""

    epochs = 1

    def fine_tune(
        self, examples: Dataset, settings: FineTuning, progress: StepProgress | None = None
    ) -> SentenceTransformer:
        """Train all layers with the cosine similarity loss (Tunstall et al., 2022)."""
        from tagger.training import fine_tuning

        with fine_tuning.training_arguments(
            settings, batch_size=BATCH_SIZE, rate=LEARNING_RATE, num_iterations=_ITERATIONS
        ) as arguments:
            trainer = fine_tuning.EncoderTrainer(
                fine_tuning.load_for_training(settings),
                arguments,
                progress,
                multi_target_strategy="one-vs-rest",
            )
            targets = fine_tuning.targets_of(examples).values()
            tags = np.concatenate([target.memberships for target in targets], axis=1)
            return trainer.train_encoder(examples[TEXT][:], list(tags))
