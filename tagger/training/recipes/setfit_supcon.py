"""SetFit with its own contrastive loss, which needs no pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tagger._util.progress import StepProgress
from tagger.training.data import TEXT
from tagger.training.recipes.setfit import BATCH_SIZE, LEARNING_RATE, SetFit
from tagger.training.settings import FineTuning

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from sentence_transformers import SentenceTransformer


class SetFitSupCon(SetFit):
    """SetFit's ``SupConLoss`` (Khosla et al., 2020), in turn on batches of each facet.

    A text with several tags of a facet is one example for each of them.
    """

    epochs = 6

    def fine_tune(
        self, examples: Dataset, settings: FineTuning, progress: StepProgress | None = None
    ) -> SentenceTransformer:
        """Train all layers; batches have at least two texts of each of their tags."""
        from setfit.losses import SupConLoss

        from tagger.training import fine_tuning

        class Trainer(fine_tuning.EncoderTrainer):
            def get_dataset(self, x: Any, y: Any, *_: Any, **__: Any) -> tuple[DatasetDict, Any]:
                self.st_trainer.args.batch_sampler = "group_by_label"
                return y, SupConLoss(self.model.model_body)

        with fine_tuning.training_arguments(
            settings, batch_size=BATCH_SIZE, rate=LEARNING_RATE
        ) as arguments:
            trainer = Trainer(fine_tuning.load_for_training(settings), arguments, progress)
            return trainer.train_encoder([], _by_facet(examples))


def _by_facet(examples: Dataset) -> DatasetDict:
    """Return the texts of each facet with one tag each; facets with one tag teach nothing."""
    from datasets import Dataset, DatasetDict

    from tagger.training.fine_tuning import targets_of

    texts, parts = examples[TEXT][:], {}
    for name, target in targets_of(examples).items():
        rows, tags = np.nonzero(target.memberships)
        if (np.bincount(tags) > 1).sum() > 1:
            labelled = {TEXT: [texts[row] for row in rows], "label": tags.tolist()}
            parts[name] = Dataset.from_dict(labelled)
    return DatasetDict(parts)
