"""Choose the first papers to label, when there is no trained model yet."""

from __future__ import annotations

from collections.abc import Sequence

from tagger._util.progress import StepProgress
from tagger.model import Encoder, Predictions
from tagger.papers import KnownPapers, Paper
from tagger.review.strategies.base import Pool
from tagger.review.strategies.typical import Typical
from tagger.taxonomy import Taxonomy


def suggest_papers(
    papers: Sequence[Paper],
    labelled: Sequence[Paper],
    taxonomy: Taxonomy,
    encoder: Encoder,
    count: int,
    progress: StepProgress | None = None,
) -> list[Paper]:
    """Return the at most ``count`` most typical unlabelled papers, most useful first.

    ``progress`` is called with the number of encoded texts and the number of all texts.
    """
    known = KnownPapers(labelled)
    candidates = [paper for paper in papers if paper not in known]
    if not candidates:
        return []
    vectors = encoder.encode([paper.text for paper in [*candidates, *labelled]], progress)
    split = len(candidates)
    pool = Pool(candidates, Predictions(vectors[:split], {}, {}), vectors[split:], taxonomy)
    return [candidates[index] for index in Typical().select(pool, count)]
