"""Compare pretrained encoders on the user's labels, with the same folds and paired statistics."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tagger._util.progress import Progress, no_progress
from tagger.errors import TaggerError
from tagger.evaluation import Comparison, HeldOut, compare
from tagger.labels import Label
from tagger.taxonomy import Taxonomy
from tagger.training.pretrained import load_trainable
from tagger.training.run import cross_validate
from tagger.training.settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class Contender:
    """An encoder and its metrics by facet, those of :func:`tagger.evaluation.evaluate`.

    ``seconds`` is the time of the cross-validation, ``seconds_per_100`` that of encoding 100 papers
    with the exported encoder. ``against_first`` is None for the first encoder.
    """

    encoder: str
    figures: dict[str, dict[str, float]]
    seconds: float
    seconds_per_100: float
    against_first: Comparison | None


def bake_off(
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    encoders: Sequence[str],
    settings: TrainingSettings,
    progress: Progress = no_progress,
) -> list[Contender]:
    """Cross-validate each encoder on the same folds, and compare each with the first.

    Raises a TaggerError if an encoder is named twice or cannot be loaded, or there are too few
    labels.
    """
    if len(set(encoders)) < len(encoders):
        raise TaggerError("an encoder is named twice", hint="Name each encoder once")
    for encoder in encoders:
        # Fail now, not after the others have been trained.
        load_trainable(encoder, settings.max_tokens)
    contenders: list[Contender] = []
    first: tuple[str, dict[str, HeldOut]] | None = None
    for encoder in encoders:

        def report(stage: str, done: int, total: int, of: str = encoder) -> None:
            progress(f"{of}: {stage}", done, total)

        begin = time.perf_counter()
        checked = cross_validate(labels, taxonomy, replace(settings, encoder=encoder), report)
        seconds = time.perf_counter() - begin
        held_out = {each.facet.name: each for each in checked.out_of_fold}
        figures = {name: each.metrics() for name, each in held_out.items()}
        per_100 = 100 * checked.encoding_seconds / len(labels)
        against = compare(first, (encoder, held_out)) if first else None
        contenders.append(Contender(encoder, figures, seconds, per_100, against))
        first = first or (encoder, held_out)
    return contenders
