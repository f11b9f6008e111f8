"""The default recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagger._util.progress import StepProgress
from tagger.model import Head
from tagger.training.heads import HeadInputs, fit_head
from tagger.training.recipes.base import Recipe
from tagger.training.settings import FineTuning

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer


class Contrastive(Recipe):
    """SetFit with a supervised contrastive loss for all facets; heads on vectors and words."""

    epochs = 5

    def fine_tune(
        self, examples: Dataset, settings: FineTuning, progress: StepProgress | None = None
    ) -> SentenceTransformer:
        from tagger.training import fine_tuning

        return fine_tuning.fine_tune(examples, settings, progress)

    def fit_head(self, given: HeadInputs) -> Head:
        return fit_head(given)
