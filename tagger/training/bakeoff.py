"""Cross-validate recipes and encoders on the user's labels, in the same folds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError
from tagger.evaluation import HeldOut
from tagger.labels import Label
from tagger.taxonomy import Taxonomy
from tagger.training.pretrained import load_trainable
from tagger.training.recipes import load_recipe
from tagger.training.run import cross_validate
from tagger.training.settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class Contender:
    """A candidate's out-of-fold predictions, one table per facet, and its cost.

    ``seconds`` is the time of the cross-validation, ``seconds_per_100`` that of encoding 100 papers
    with the exported encoder, ``megabytes`` the size of that encoder.
    """

    settings: TrainingSettings
    out_of_fold: tuple[HeldOut, ...]
    seconds: float
    seconds_per_100: float
    megabytes: float

    @property
    def name(self) -> str:
        """Recipe and encoder."""
        return f"{self.settings.recipe}, {self.settings.encoder}"


def bake_off(
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    candidates: Sequence[TrainingSettings],
    progress: Progress = no_progress,
) -> Iterator[Contender]:
    """Cross-validate each candidate on the same folds; yield it as soon as it is done.

    Raises a TaggerError if a candidate is named twice or its encoder cannot be loaded, before any
    is trained, or if there are too few labels.
    """
    if len(set(candidates)) < max(len(candidates), 2):
        raise TaggerError(
            "a bake-off needs two different candidates or more",
            hint="Name each recipe and encoder once: --recipe contrastive --recipe frozen",
        )
    for settings in candidates:
        load_recipe(settings, taxonomy)
    for encoder in dict.fromkeys(settings.encoder for settings in candidates):
        load_trainable(encoder, candidates[0].max_tokens)

    return (_measure(labels, taxonomy, settings, progress) for settings in candidates)


def _measure(
    labels: Sequence[Label], taxonomy: Taxonomy, settings: TrainingSettings, progress: Progress
) -> Contender:
    def report(stage: str, done: int, total: int) -> None:
        progress(f"{settings.recipe}, {settings.encoder}: {stage}", done, total)

    begin = time.perf_counter()
    found = cross_validate(labels, taxonomy, settings, report)
    seconds = time.perf_counter() - begin
    costs = seconds, found.seconds_per_100, found.encoder_megabytes
    return Contender(settings, found.out_of_fold, *costs)
