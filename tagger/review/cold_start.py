"""Which papers to label first, when there is no model yet to say what it is unsure of."""

from __future__ import annotations

from collections.abc import Sequence

from tagger.model import Encoder, Predictions, Progress
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
    progress: Progress | None = None,
) -> list[Paper]:
    """Return at most ``count`` papers to label, most useful first: typical ones of the unlabelled.

    ``progress`` is called with texts done and texts in all.
    """
    known = KnownPapers(labelled)
    candidates = [paper for paper in papers if paper not in known]
    if not candidates:
        return []
    vectors = encoder.encode([paper.text for paper in [*candidates, *labelled]], progress)
    own, seen = vectors[: len(candidates)], vectors[len(candidates) :]
    pool = Pool(candidates, Predictions(own, {}, {}), seen, taxonomy)
    return [candidates[row] for row in Typical().select(pool, count)]
